"""The way of a message: which goes first, which waits and how long, what comes instead, and that each goes once whatever happens."""

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from tejido_notifications.bounces import service as bounces
from tejido_notifications.bounces.reports import Report
from tejido_notifications.channels import Line, Message, Outcome
from tejido_notifications.channels.configured import channels
from tejido_notifications.contacts import service as contacts
from tejido_notifications.delivery import digests, sending, service, tasks
from tejido_notifications.letters import samples
from tejido_notifications.models import Address, Attempt, Contact, Delivery, InAppMessage, Proof
from tejido_notifications.settings import settings
from tejido_notifications.webhooks import service as webhooks
from tejido_shared import contracts
from tejido_shared.clock import moved_to, now
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.seam import outbox

from .conftest import (
    ANA,
    CAMPAIGN,
    FRIDAY_EVENING,
    LEGAL,
    SERVICE,
    MailServer,
    deliver_event,
    filed,
    found,
    only,
    plain,
    published,
    queued,
    told,
)

LUIS = "luis@idpac.example.org"


class Phone(Line):
    """A further channel, whose messages are kept here."""

    slots: int = 1
    rate: float | None = None
    usable = True

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.outcome = Outcome("accepted", "queued")

    @contextmanager
    def open(self) -> Iterator["Phone"]:
        yield self

    def send(self, message: Message) -> Outcome:
        self.received.append(message)
        return self.outcome


@pytest.fixture
def phone(monkeypatch: pytest.MonkeyPatch) -> Phone:
    phone = Phone()
    monkeypatch.setattr(settings(), "relayed", {"sms": SecretStr("json://127.0.0.1/{address}")})
    monkeypatch.setattr(tasks, "channels", lambda: {**channels(), "sms": phone})
    return phone


def known_contact(database: Database, ref: str = "ana", **addresses: str) -> UUID:
    """A person with verified addresses by channel, best first, besides the box in the application."""
    with database.tx() as session:
        contact = contacts.ensure(session, "person", ref, "Ana")
        for rank, (channel, value) in enumerate(addresses.items()):
            contacts.set_address(session, contact, channel, value, rank, owner=True)
            [address] = contacts.of_channel(session, contact, channel)
            contacts.accept(session, contact, address)
        return contact.id


def prefer(
    database: Database, contact_id: UUID, *, quiet: tuple[time, time] | None = None, digest: bool = False
) -> None:
    begin, end = quiet or (None, None)
    with database.tx() as session:
        contact = session.get_one(Contact, contact_id)
        contacts.prefer(session, contact, language="es", quiet_from=begin, quiet_until=end, digest=digest)


def proofs(database: Database, delivery: Delivery) -> list[tuple[str, str | None]]:
    with database.tx() as session:
        query = sa.select(Proof).where(Proof.delivery_id == delivery.id).order_by(Proof.at, Proof.id)
        return [(one.result, one.record) for one in session.scalars(query)]


# Which goes first, and how fast


def test_a_legal_notice_waits_behind_nothing(database: Database, mail_server: MailServer) -> None:
    """Messages of each kind, the more important the later they are due."""
    instant, order = now(), list[UUID]()
    for ago, kind in ((60, LEGAL), (3600, SERVICE), (7200, "requests.reminder")):
        with moved_to(instant - timedelta(seconds=ago)):
            order.append(queued(database, kind, f"{kind}@correo.example"))
    with moved_to(instant - timedelta(days=1)):
        campaign = [queued(database, "requests.submitted", f"{n}@correo.example") for n in range(50)]
    with database.tx() as session:  # as if each had been called to
        of_them = sa.update(Delivery).where(Delivery.cause_id.in_(campaign))
        session.execute(of_them.values(category="campaign", template="requests_submitted"))
    claimed = []
    for _ in range(5):
        with database.tx() as session:
            one = service.claim(session, "email", 0)
        assert one is not None
        claimed.append(one)
    assert [one.cause_id for one in claimed[:3]] == [order[0], order[2], order[1]]
    assert [one.category for one in claimed] == ["legal", "service", "service", "campaign", "campaign"]
    assert {one.cause_id for one in claimed[3:]} <= set(campaign)


def test_what_was_seen_ahead_is_taken_only_while_it_waits(database: Database) -> None:
    for number in range(12):
        queued(database, SERVICE, f"{number}@correo.example")
    ahead = service.Ahead()
    with database.tx() as session:
        assert service.claim(session, "email", 0, ahead=ahead) is not None
    cancelled, of_another, left = (one.id for one in list(ahead.seen)[:3])
    with database.tx() as session:
        session.get_one(Delivery, cancelled).status = "cancelled"
        session.get_one(Delivery, of_another).sender = 1  # a new version, as when it was taken and put back
    with database.tx() as session:
        claimed = service.claim(session, "email", 0, ahead=ahead)
    assert claimed is not None
    assert claimed.id == left
    queued(database, LEGAL)
    ahead.until = 0.0  # a second later it looks anew
    with database.tx() as session:
        claimed = service.claim(session, "email", 0, ahead=ahead)
    assert claimed is not None
    assert claimed.category == "legal"


def test_what_falls_to_a_line_that_is_not_at_work_goes_before_what_matters_less(database: Database) -> None:
    reminders = {queued(database, SERVICE, f"{number}@correo.example") for number in range(8)}
    calls = {queued(database, SERVICE, f"{number}@correo.example") for number in range(30)}
    with database.tx() as session:
        session.execute(sa.update(Delivery).where(Delivery.cause_id.in_(calls)).values(category="campaign"))
    ahead, claimed = service.Ahead(lines=4), list[UUID]()
    for _ in range(8):
        with database.tx() as session:
            one = service.claim(session, "email", 0, ahead=ahead)
        assert one is not None
        claimed.append(one.cause_id)
    assert set(claimed) == reminders


def test_a_rate_holds_over_all_senders(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        queued(database, address=f"{number}@correo.example")
    begun = now() + timedelta(minutes=1)

    def sent_at(offset: timedelta) -> int:
        """How many both senders may send at one instant."""
        monkeypatch.setattr(service, "now", lambda: begun + offset)
        count = 0
        for sender in (0, 1):
            while True:
                with database.tx() as session:
                    if service.claim(session, "email", sender, rate=5) is None:
                        break
                count += 1
        return count

    steps = [sent_at(timedelta(milliseconds=50 * step)) for step in range(120)]  # six seconds
    assert max(steps) == 1
    assert sum(steps) == 30
    assert max(sum(steps[first : first + 20]) for first in range(100)) == 5
    idle = sent_at(timedelta(minutes=10))
    assert 5 <= idle <= 6  # what was missed in the last second is made up for, and no more
    assert sent_at(timedelta(minutes=10)) == 0


@pytest.mark.parametrize(
    ("outcome", "first"),
    [
        (Outcome("deferred", "450 4.2.0 Greylisted", "greylisted"), timedelta(minutes=2)),
        (Outcome("deferred", "452 4.2.2 Full", "full"), timedelta(hours=1)),
        (Outcome("deferred", "421 4.3.2 Later", "4.3.2"), timedelta(seconds=30)),
        (Outcome("unknown", code="dropped"), timedelta(seconds=30)),
    ],
    ids=["greylisted", "full", "busy", "dropped"],
)
def test_how_long_each_kind_of_failure_waits(
    database: Database, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, first: timedelta
) -> None:
    random.seed(7)
    cause, instant, waits = queued(database), now(), list[timedelta]()
    for _ in range(6):
        monkeypatch.setattr(service, "now", lambda at=instant: at)
        with database.tx() as session:
            claimed = service.claim(session, "email", 0)
        assert claimed is not None
        with database.tx() as session:
            service.record(session, claimed, outcome)
        due = only(database, cause).next_attempt_at
        assert due is not None
        waits.append(due - instant)
        instant = due
    for number, wait in enumerate(waits):
        middle = min(first * 2**number, timedelta(hours=6))
        assert 0.8 * middle <= wait <= 1.2 * middle
    assert len({wait / min(first * 2**number, timedelta(hours=6)) for number, wait in enumerate(waits)}) == len(waits)


def test_it_waits_as_long_as_it_was_asked_to(database: Database) -> None:
    for asked, waited in ((90.0, 90), (1e9, 6 * 3600)):
        with moved_to(FRIDAY_EVENING + timedelta(days=1)):
            cause = queued(database)
            with database.tx() as session:
                claimed = service.claim(session, "email", 0)
            assert claimed is not None
            with database.tx() as session:
                service.record(session, claimed, Outcome("deferred", "429", "429", wait=asked))
                begun = now()
        due = only(database, cause).next_attempt_at
        assert due is not None
        assert timedelta() <= timedelta(seconds=waited) - (due - begun) < timedelta(seconds=60)


# What comes instead


def test_what_cannot_be_delivered_falls_to_the_next_channel(
    database: Database, mail_server: MailServer, phone: Phone
) -> None:
    known_contact(database, email=ANA, sms="3001234567")
    mail_server.script.append("rcpt 550 5.1.1 No such user")
    cause = queued(database)
    tasks.send_due()
    tasks.send_due()

    mail, short = found(database, cause)
    assert (mail.channel, mail.status, mail.category) == ("email", "failed", "legal")
    assert (short.channel, short.status, short.category) == ("sms", "delivered", "legal")
    assert (short.fallback_of, short.contact_id) == (mail.id, mail.contact_id)
    assert (short.audience, short.recipient_key, short.cause_type) == (mail.audience, mail.recipient_key, LEGAL)
    [message] = phone.received
    assert (message.id, message.recipient) == (short.id, "+573001234567")
    assert not message.letter.html
    assert "\n" not in message.letter.body
    fields = json.loads(samples.sample(LEGAL, full=True))
    assert fields["tracking_code"] not in message.letter.body
    # Only by mail is anybody notified; by the other channel they are told where the notice is.
    assert published(database) == [("notifications.failed", str(mail.id))]
    assert [result for result, _ in proofs(database, mail)] == ["failed"]
    [(result, record)] = proofs(database, short)
    assert result == "delivered"
    assert json.loads(str(record))["instead_of"] == str(mail.id)
    with (
        database.tx() as session
    ):  # and the next message does not try the mail address of nobody again, unless the law wants it
        known = contacts.known(session, contacts.marks("email", ANA))
    assert known is not None
    assert known.unwanted("service")


def test_without_a_contact_it_falls_to_the_telephone_that_was_left(
    database: Database, mail_server: MailServer, phone: Phone
) -> None:
    mail_server.script.append("rcpt 550 5.1.1 No such user")
    cause = queued(database)
    tasks.send_due()
    tasks.send_due()
    mail, short = found(database, cause)
    assert (mail.channel, mail.status, mail.contact_id) == ("email", "failed", None)
    assert (short.channel, short.status, short.fallback_of) == ("sms", "delivered", mail.id)
    assert [message.recipient for message in phone.received] == ["+573001234567"]
    assert published(database) == [("notifications.failed", str(mail.id))]


def test_it_falls_until_nothing_is_left(database: Database, mail_server: MailServer, phone: Phone) -> None:
    known_contact(database, email=ANA, sms="3001234567")
    mail_server.script.append("data 554 5.7.1 Rejected")
    phone.outcome = Outcome("refused", "no", "rejected")
    cause = queued(database)
    for _ in range(4):
        tasks.send_due()
    deliveries = found(database, cause)
    assert [(one.channel, one.status) for one in deliveries] == [
        ("email", "failed"),
        ("sms", "failed"),
        ("in_app", "delivered"),
    ]
    assert [one.fallback_of for one in deliveries] == [None, deliveries[0].id, deliveries[1].id]
    assert published(database) == [("notifications.failed", str(deliveries[0].id))]


def test_what_cannot_be_read_falls_to_no_channel_and_harms_no_other(
    database: Database, mail_server: MailServer
) -> None:
    known_contact(database, email=ANA)
    lost, good = queued(database), queued(database)
    with database.tx() as session:
        session.execute(sa.text("update delivery set context = 'x' where cause_id = :id"), {"id": lost})
    tasks.send_due()
    assert only(database, lost).status == "failed"
    assert only(database, good).status == "delivered"


def test_what_came_back_is_told_once(database: Database, mail_server: MailServer, phone: Phone) -> None:
    known_contact(database, email=ANA, sms="3001234567")
    cause = queued(database)
    tasks.send_due()
    [mail] = found(database, cause)
    report = Report(mail.id, ANA, "permanent", "5.1.1 No such user")
    for _ in range(3):
        with database.tx() as session:
            bounces.report(session, report)
    tasks.send_due()

    mail, short = found(database, cause)
    assert (mail.status, mail.delivered_at is not None, mail.bounced_at is not None) == ("bounced", True, True)
    assert (short.channel, short.status, short.fallback_of) == ("sms", "delivered", mail.id)
    assert published(database) == [("notifications.delivered", str(mail.id)), ("notifications.failed", str(mail.id))]
    assert [result for result, _ in proofs(database, mail)] == ["delivered", "bounced"]
    with database.tx() as session:
        marked = session.scalars(sa.select(Address).where(Address.bounced_at.is_not(None))).all()
        assert {one.value for one in marked} == {ANA}


def test_what_came_back_before_its_acceptance_was_on_record_has_not_arrived(database: Database) -> None:
    cause = queued(database)
    with database.tx() as session:
        claimed = service.claim(session, "email", 0)
    assert claimed is not None
    with database.tx() as session:
        service.bounced(session, session.get_one(Delivery, claimed.id), "5.1.1 No such user")
    with database.tx() as session:
        service.record(session, claimed, Outcome("accepted", "250 OK"))
    assert only(database, cause).status == "bounced"
    assert [kind for kind, _ in published(database)] == ["notifications.failed"]


# What somebody wants


def test_only_what_the_law_wants_breaks_the_night(database: Database) -> None:
    prefer(database, known_contact(database, email=ANA), quiet=(time(20), time(6)))
    with moved_to(FRIDAY_EVENING + timedelta(hours=3)):  # 21:40 in Bogotá
        legal, other = queued(database), queued(database, SERVICE)
        assert only(database, legal).send_from is None
        waits = only(database, other)
        assert (
            waits.send_from
            == waits.next_attempt_at
            == datetime.combine(date(2026, 12, 5), time(11), FRIDAY_EVENING.tzinfo)
        )
        with database.tx() as session:
            claimed = service.claim(session, "email", 0)
        assert claimed is not None
        assert claimed.cause_id == legal
    with moved_to(FRIDAY_EVENING + timedelta(minutes=80, seconds=-30)):  # half a minute before the night begins
        later = queued(database, SERVICE)
    with moved_to(FRIDAY_EVENING + timedelta(hours=3)), database.tx() as session:
        assert service.claim(session, "email", 0) is None
    assert only(database, later).next_attempt_at == waits.next_attempt_at


@pytest.mark.parametrize("kind", [SERVICE, CAMPAIGN])
@pytest.mark.parametrize("why", ["opted_out", "bounced"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_who_does_not_want_it_gets_only_legal_notices(database: Database, kind: str, why: str, when: str) -> None:
    contact_id = known_contact(database, email=ANA)

    def refuse() -> None:
        with database.tx() as session:
            if why == "opted_out":
                contact = session.get_one(Contact, contact_id)
                contacts.opt_out(session, contact, "email", (kind == SERVICE and "service") or "campaign", "account")
            else:
                contacts.bounced(session, contacts.marks("email", ANA)[0], "5.1.1", "email", ANA)

    if when == "before":
        refuse()
    unwanted = queued(database, kind, "Ana.Munoz@CORREO.example")
    if when == "after":
        refuse()
    legal = queued(database)
    claimed = []
    for _ in range(3):
        with database.tx() as session:
            claimed.append(service.claim(session, "email", 0))
    assert [one and one.cause_id for one in claimed] == [legal, None, None]
    if when == "before":
        assert found(database, unwanted) == []
    else:
        assert (only(database, unwanted).status, only(database, unwanted).attempts) == ("cancelled", 0)


# Digests

OPENING = FRIDAY_EVENING + timedelta(days=2, hours=12, minutes=20)  # Monday, 7:00 in Bogotá


def remind(databases: dict[str, Database], number: int, email: str = LUIS, account: str = "luis") -> UUID:
    envelope = told(
        contracts.RequestReminder,
        number=f"BOG-2026-00000{number}-11",
        clock="answer",
        threshold="-1",
        due_date=date(2026, 12, 9),
        send_from=OPENING,
        to=["assignee"],
        assignee=account,
        assignee_email=email,
    )
    assert deliver_event(databases, envelope)
    return envelope.id


def test_reminders_come_together_each_once(
    databases: dict[str, Database], database: Database, mail_server: MailServer
) -> None:
    prefer(database, known_contact(database, "luis", email=LUIS), digest=True)
    prefer(database, known_contact(database, "eva", email="eva@idpac.example.org"), digest=True)
    with moved_to(FRIDAY_EVENING):
        causes = [remind(databases, number) for number in (1, 2, 3)]
        unread = remind(databases, 4)
        alone = remind(databases, 5, "eva@idpac.example.org", "eva")
        other = remind(databases, 6, "sol@idpac.example.org", "sol")
        with database.tx() as session:
            session.execute(
                sa.text("update delivery set recipient = 'x' where cause_id = :id and channel = 'email'"),
                {"id": unread},
            )
        tasks.send_due()
        assert mail_server.received == []
    with moved_to(OPENING - timedelta(seconds=30)):
        tasks.send_due()
        assert mail_server.received == []
    with moved_to(OPENING):
        for _ in range(3):
            tasks.send_due()

    assert sorted(mail_server.recipients) == ["eva@idpac.example.org", LUIS, "sol@idpac.example.org"]
    [mail] = [message for message in mail_server.received if message["To"] == LUIS]
    assert [plain(mail).count(f"BOG-2026-00000{number}-11") for number in range(1, 7)] == [1, 1, 1, 0, 0, 0]
    with database.tx() as session:
        query = sa.select(Delivery).where(Delivery.channel == "email")
        deliveries = {one.cause_id: one for one in session.scalars(query)}
        [in_app] = session.scalars(sa.select(InAppMessage).where(InAppMessage.box == "account:luis"))
        assert all(f"BOG-2026-00000{number}-11" in in_app.body for number in (1, 2, 3, 4))
    [digest] = [one for one in deliveries.values() if one.template == digests.TEMPLATE]
    assert digest.status == "delivered"
    for cause in causes:
        assert (deliveries[cause].status, deliveries[cause].digest_id) == ("merged", digest.id)
        assert (deliveries[cause].attempts, deliveries[cause].next_attempt_at) == (0, None)
    assert (deliveries[unread].status, deliveries[unread].digest_id) == ("failed", None)
    for cause in (alone, other):
        assert (deliveries[cause].status, deliveries[cause].digest_id) == ("delivered", None)
    assert published(database) == []


def test_many_workers_make_one_digest(databases: dict[str, Database], database: Database) -> None:
    prefer(database, known_contact(database, "luis", email=LUIS), digest=True)
    with moved_to(FRIDAY_EVENING):
        for number in range(10):
            remind(databases, number)

    def gather() -> None:
        with database.tx() as session:
            digests.gather(session)

    with moved_to(OPENING):
        threads = [threading.Thread(target=gather) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gather()
    with database.tx() as session:
        query = sa.select(Delivery.status, Delivery.template).where(Delivery.channel == "email")
        states = Counter((status, template == digests.TEMPLATE) for status, template in session.execute(query))
    assert states == {("merged", False): 10, ("pending", True): 1}


# Once, whatever happens


def test_one_message_however_many_queue_it_at_once(database: Database) -> None:
    context = samples.sample(LEGAL, full=True)
    causes = [service.Cause(new_id(), LEGAL, new_id(), now()) for _ in range(2)]
    wanted = [
        (cause, audience, f"key-{number}", channel)
        for cause in causes
        for audience in ("citizen", "organization")
        for number in range(6)
        for channel in ("email", "in_app")
    ]
    errors: list[Exception] = []

    def queue_all(seed: int) -> None:
        mine = random.Random(seed).sample(wanted, len(wanted))
        try:
            for cause, audience, key, channel in mine:
                with database.tx() as session:
                    service.queue(
                        session,
                        cause,
                        audience=audience,
                        address=f"account:{key}" if channel == "in_app" else f"{key}@correo.example",
                        language="es",
                        context=context,
                        channel=channel,
                        recipient_key=key,
                    )
        except Exception as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    threads = [threading.Thread(target=queue_all, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with database.tx() as session:
        columns = (Delivery.cause_id, Delivery.audience, Delivery.recipient_key, Delivery.channel)
        there = Counter(tuple(row) for row in session.execute(sa.select(*columns)))
    assert there == {(cause.id, audience, key, channel): 1 for cause, audience, key, channel in wanted}


# What is forgotten, and who else is told


def test_nothing_is_left_of_what_is_erased(
    databases: dict[str, Database], database: Database, mail_server: MailServer
) -> None:
    request = new_id()
    prefer(database, known_contact(database, "luis", email=LUIS), digest=True)
    with moved_to(FRIDAY_EVENING):
        assert deliver_event(databases, filed(request_id=request))
        tasks.send_due()
        reminder: dict[str, Any] = {
            "clock": "answer",
            "threshold": "-1",
            "due_date": date(2026, 12, 9),
            "to": ["assignee", "head"],
        }
        who: dict[str, Any] = {"assignee": "luis", "assignee_email": LUIS}
        now_due = told(contracts.RequestReminder, request_id=request, send_from=FRIDAY_EVENING, **reminder, **who)
        assert deliver_event(databases, now_due)
        tasks.send_due()
        later = told(contracts.RequestReminder, request_id=request, send_from=OPENING, **reminder, **who)
        assert deliver_event(databases, later)
        assert deliver_event(databases, filed(request_id=request))
        with database.tx() as session:
            before = Counter(session.scalars(sa.select(Delivery.status).where(Delivery.about == request)))
            assert session.scalar(sa.select(sa.func.count()).select_from(InAppMessage)) == 1
        assert before == {"delivered": 3, "held": 4, "pending": 3}
        taken = len(mail_server.received)
        erased = told(contracts.RequestErased, request_id=request, erased_at=now())
        assert deliver_event(databases, erased)
    with moved_to(OPENING):
        tasks.send_due()
    assert len(mail_server.received) == taken
    with database.tx() as session:
        deliveries = session.scalars(sa.select(Delivery).where(Delivery.about == request)).all()
        assert len(deliveries) == 10
        for one in deliveries:
            assert (one.recipient, one.context, one.fingerprint, one.contact_id, one.evidence) == (
                "",
                "",
                None,
                None,
                None,
            )
            assert one.next_attempt_at is None
        assert Counter(one.status for one in deliveries) == {"delivered": 3, "failed": 7}
        assert session.scalars(sa.select(Proof.record)).all() == [None]
        assert session.scalars(sa.select(InAppMessage)).all() == []
        assert set(session.scalars(sa.select(Attempt.reply))) == {None}


def test_what_is_erased_while_it_is_sent_stays_in_no_box(database: Database) -> None:
    cause = queued(database, SERVICE, "account:luis", channel="in_app")
    about = only(database, cause).about
    with database.tx() as session:
        claimed = service.claim(session, "in_app", 0)
    assert claimed is not None
    with database.tx() as session:
        service.erase(session, about, now())
    attempted = sending.attempt(_line_of("in_app"), sending.compose(claimed))
    with database.tx() as session:
        service.record(session, claimed, attempted.outcome, attempted.letter)
    with database.tx() as session:
        assert session.scalars(sa.select(InAppMessage)).all() == []
        service.bounced(session, session.get_one(Delivery, claimed.id), "Ana is not here")
    assert only(database, cause).last_error == service.text("erased")


def _line_of(channel: str) -> Any:
    with channels()[channel].open() as line:
        return line


def test_other_systems_are_told_that_it_was_delivered(database: Database, mail_server: MailServer) -> None:
    with database.tx() as session:
        subscription = webhooks.subscribe(
            session,
            name="Archivo",
            url="https://93.184.216.34/avisos",
            events=["notifications.*"],
            filters={},
            secret=None,
            created_by="administradora-1",
        )
        subscription.rests_until = now() + timedelta(hours=1)
    cause = queued(database)
    mail_server.script.append("rcpt 550 5.1.1 No such user")
    failed = queued(database, address="nadie@correo.example")
    with database.tx() as session:
        session.execute(
            sa.update(Delivery).where(Delivery.cause_id == failed).values(next_attempt_at=now() - timedelta(hours=1))
        )
    tasks.send_due()
    with database.tx() as session:
        told_of = session.scalars(sa.select(Delivery).where(Delivery.channel == "webhook").order_by(Delivery.id)).all()
        bodies = [json.loads(one.context) for one in told_of]
        events = {one["id"]: one["type"] for one in session.scalars(sa.select(outbox.c.envelope))}
    assert {one.recipient_key for one in told_of} == {str(subscription.id)}
    assert {body["id"]: body["type"] for body in bodies} == events
    assert sorted(events.values()) == ["notifications.delivered", "notifications.failed"]
    by_type = {body["type"]: body["data"] for body in bodies}
    assert by_type["notifications.delivered"]["cause_id"] == str(cause)
    assert by_type["notifications.failed"]["cause_id"] == str(failed)
    assert "correo.example" not in json.dumps(bodies)
