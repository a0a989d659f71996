"""Events become deliveries: once, encrypted, or a dead letter that says why."""

import threading
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from tejido_notifications.models import Delivery
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared import contracts, seam
from tejido_shared.db import Database
from tejido_shared.inbox import MAX_ATTEMPTS

from .conftest import CODE, FRIDAY_EVENING, deliver_event, filed, told


def _count(databases: dict[str, Database]) -> int:
    with databases["notifications"].tx() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Delivery)) or 0


def test_one_delivery_however_often_and_wherever_the_event_arrives(databases: dict[str, Database]) -> None:
    envelope = filed()
    threads = [threading.Thread(target=deliver_event, args=(databases, envelope)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sent in (1, 2, 3):
        assert deliver_event(databases, envelope, sent)
    assert _count(databases) == 1

    with databases["notifications"].tx() as session:  # the inbox forgets after a while; the delivery does not
        session.execute(sa.delete(seam.inbox))
    assert deliver_event(databases, envelope)
    assert _count(databases) == 1


def test_what_is_stored_names_nobody(databases: dict[str, Database]) -> None:
    envelope = filed()
    deliver_event(databases, envelope)
    with databases["notifications"].tx() as session:
        stored = str(session.execute(sa.text("select row_to_json(d) from (select * from delivery) d")).scalar_one())
    for private in ("ana.munoz", "Muñoz", CODE, b"ana.munoz".hex()):
        assert private not in stored


def test_no_mail_to_who_left_no_address(databases: dict[str, Database]) -> None:
    envelope = filed(recipient_email=None)
    assert deliver_event(databases, envelope)
    assert _count(databases) == 0


def test_who_left_a_telephone_only_is_told_there(
    databases: dict[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "relayed", {"telegram": SecretStr("json://x/{address}")})
    envelope = filed(recipient_email=None, recipient_phone="300 123 4567")
    assert deliver_event(databases, envelope)
    assert _count(databases) == 0  # no channel to telephones
    with databases["notifications"].tx() as session:
        session.execute(sa.delete(seam.inbox))
    monkeypatch.setattr(settings(), "relayed", {"sms": SecretStr("json://x/{address}")})
    assert deliver_event(databases, envelope)
    assert _deliveries(databases, "sms") == {"citizen": ("+573001234567", "es")}


def _reminder(**fields: Any) -> contracts.Envelope:
    given = {"clock": "answer", "threshold": "-1", "due_date": date(2026, 12, 29), "send_from": FRIDAY_EVENING}
    return told(contracts.RequestReminder, **{**given, **fields})


def _deliveries(databases: dict[str, Database], channel: str = "email") -> dict[str, tuple[str, str]]:
    query = sa.select(Delivery).where(Delivery.channel == channel)
    with databases["notifications"].tx() as session:
        return {one.audience: (one.recipient, one.language) for one in session.scalars(query)}


def _boxes(to: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Where those work, of whom the authority has no box."""
    known = {"assignee": "account:funcionaria-1", "office": "office:asuntos-comunales"}
    known["office_head"] = "head:asuntos-comunales"
    return {audience: (known[audience], "es") for audience in to if audience in known}


OFFICE = "asuntos-comunales@idpac.example.org"
HEAD = "jefatura.asuntos-comunales@idpac.example.org"


@pytest.mark.parametrize(
    ("to", "assignee_email", "expected"),
    [
        (["assignee"], "luis@idpac.example.org", {"assignee": "luis@idpac.example.org"}),
        (["assignee"], None, {"office": OFFICE}),
        (["assignee", "office"], None, {"office": OFFICE}),
        (["assignee", "head"], HEAD.upper(), {"assignee": HEAD.upper()}),
        (
            ["assignee", "office", "head", "authority"],
            "luis@idpac.example.org",
            {
                "assignee": "luis@idpac.example.org",
                "office": OFFICE,
                "office_head": HEAD,
                "authority": "direccion-general@idpac.example.org",
            },
        ),
    ],
)
def test_a_reminder_goes_once_to_each_address(
    databases: dict[str, Database], to: list[str], assignee_email: str | None, expected: dict[str, str]
) -> None:
    envelope = _reminder(to=to, assignee="funcionaria-1", assignee_email=assignee_email)
    for sent in (1, 2):
        assert deliver_event(databases, envelope, sent)
    assert _deliveries(databases) == {audience: (address, "es") for audience, address in expected.items()}
    boxes = _boxes(["assignee", "office_head"] if assignee_email == HEAD.upper() else expected)
    assert _deliveries(databases, "in_app") == boxes
    assert jurisdiction().procedure.authority_email == "direccion-general@idpac.example.org"


@pytest.mark.parametrize(
    ("assignee_email", "expected"),
    [("luis@idpac.example.org", {"assignee": "luis@idpac.example.org"}), (None, {"office": OFFICE})],
)
def test_a_mail_that_did_not_arrive_is_told_to_who_works_on_it(
    databases: dict[str, Database], assignee_email: str | None, expected: dict[str, str]
) -> None:
    given = {"cause": "answered", "failed_at": FRIDAY_EVENING, "send_from": FRIDAY_EVENING + timedelta(days=3)}
    envelope = told(contracts.RequestMessageUndelivered, **given, assignee_email=assignee_email)
    for sent in (1, 2):
        assert deliver_event(databases, envelope, sent)
    assert _deliveries(databases) == {audience: (address, "es") for audience, address in expected.items()}
    assert _deliveries(databases, "in_app") == _boxes(
        ["office"] if assignee_email is None else []
    )  # no account is named
    with databases["notifications"].tx() as session:
        assert set(session.scalars(sa.select(Delivery.next_attempt_at))) == {given["send_from"]}


def test_each_act_is_told_though_a_later_one_came_first(databases: dict[str, Database]) -> None:
    moved = {"moved_at": FRIDAY_EVENING, "cause": "closure", "act": "Decreto 999 de 2026"}
    dates = [date(2026, 12, 29) + timedelta(days=n) for n in range(3)]
    later, earlier = (
        told(
            contracts.RequestDueDateMoved,
            **moved,
            old_due_date=dates[n],
            new_due_date=dates[n + 1],
            subject_version=n + 5,
        )
        for n in (1, 0)
    )
    assert earlier.subject_version < later.subject_version
    earlier = earlier.model_copy(update={"subject": later.subject})
    for envelope in (later, earlier, later):
        assert deliver_event(databases, envelope)
    with databases["notifications"].tx() as session:
        query = sa.select(Delivery.cause_id).where(Delivery.about == later.subject)
        assert set(session.scalars(query)) == {later.id, earlier.id}
    assert _count(databases) == 2


def test_a_citizen_without_address_gets_none_of_it(databases: dict[str, Database]) -> None:
    withdrawn = told(contracts.RequestWithdrawn, withdrawn_at=FRIDAY_EVENING, tacit=False, recipient_email=None)
    assert deliver_event(databases, withdrawn)
    assert _count(databases) == 0


def test_what_cannot_become_a_delivery_is_a_dead_letter_with_its_reason(databases: dict[str, Database]) -> None:
    good = filed()
    sealed_elsewhere = good.model_copy(update={"data": good.data | {"tracking_code": "gAAAA-not-ours"}})
    unknown_office = told(
        contracts.RequestBecameOverdue,
        office="closed-office",
        due_date=FRIDAY_EVENING.date(),
        overdue_at=FRIDAY_EVENING,
    )
    for envelope, reason in (
        (sealed_elsewhere, "sealed with a key that is not configured"),
        (unknown_office, "office closed-office is not in the jurisdiction pack"),
        (_reminder(to=["office", "mayor"]), "a reminder to mayor"),
    ):
        confirmed = [deliver_event(databases, envelope) for _ in range(MAX_ATTEMPTS)]
        assert confirmed == [False] * (MAX_ATTEMPTS - 1) + [True]
        with databases["notifications"].tx() as session:
            query = sa.select(seam.dead_letter.c.error).where(seam.dead_letter.c.event_id == envelope.id)
            assert reason in session.execute(query).scalar_one()
    assert _count(databases) == 0
