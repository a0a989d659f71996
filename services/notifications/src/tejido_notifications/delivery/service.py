"""The way of a message: queued once, claimed by one sender, tried until it arrives or is given up. Each takes a session, none commits."""

import json
import random
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_notifications.campaigns import gate
from tejido_notifications.channels import Outcome
from tejido_notifications.contacts import service as contacts
from tejido_notifications.contacts.addresses import by_telephone
from tejido_notifications.delivery import queries, senders, statements
from tejido_notifications.letters.kinds import category_of
from tejido_notifications.letters.writing import Letter
from tejido_notifications.models import Attempt, Delivery, InAppMessage, Pace, Proof, Subscription
from tejido_notifications.proof import service as proof
from tejido_notifications.settings import settings
from tejido_notifications.webhooks import service as webhooks
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.contracts import (
    Envelope,
    Event,
    MessageDelivered,
    MessageFailed,
    OrganizationUnreachable,
    Sealed,
    envelope_of,
)
from tejido_shared.ids import new_id
from tejido_shared.logs import correlation_id
from tejido_shared.outbox import emit
from tejido_shared.personal import unseal
from tejido_shared.refusals import Refused

PACKAGE = "tejido_notifications"
MAX_ATTEMPTS = 18
"""With the waits of `backoff`, two days."""
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=6)
_FIRST_WAITS = {"greylisted": timedelta(minutes=2), "full": timedelta(hours=1)}
"""By kind of failure, where `FIRST_WAIT` would only annoy the other side."""
LOOK_AHEAD = 25
"""Messages that a line sees at one look; a legal notice that comes meanwhile waits for as many."""
LOOK_SECONDS = 0.5
"""After which it looks anew, however many it has sent: a legal notice, an opt-out and a pause count from then on."""
MOST_LOOKS = 10
"""Of one claim, that may find nothing but what is no longer wanted or what others took, before it leaves the rest to the next."""


SETTLES = timedelta(seconds=10)
"""So long a sender that lost its number, as when PostgreSQL ends its session, has to write down what came of what it held."""


@dataclass(frozen=True)
class Cause:
    """What a message tells of: an event, or a campaign."""

    id: UUID
    type: str
    about: UUID
    occurred_at: datetime
    correlation_id: str = ""
    traceparent: str | None = None

    @classmethod
    def of(cls, envelope: Envelope) -> "Cause":
        return cls(
            envelope.id,
            envelope.type,
            envelope.subject,
            envelope.occurred_at,
            envelope.correlation_id,
            envelope.traceparent,
        )


@dataclass(frozen=True)
class Claimed:
    """A delivery that this process alone may send, once it is taken. `letter`: recipient and context; none if they cannot be decrypted."""

    id: UUID
    version: int
    attempt_id: UUID
    cause_id: UUID
    cause_type: str
    channel: str
    category: str
    audience: str
    recipient_key: str
    about: UUID
    occurred_at: datetime
    template: str
    language: str
    correlation_id: str
    traceparent: str | None
    letter: tuple[str, str] | None


def opened(event: Event) -> str:
    """The event as JSON with its sealed fields open. Raises `ValueError` if one cannot be opened."""
    return _opened(event).model_dump_json()


def _opened(model: BaseModel) -> BaseModel:
    plain: dict[str, Any] = {}
    for name, declared in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, list):
            plain[name] = [_opened(one) if isinstance(one, BaseModel) else one for one in value]
        elif value is not None and _is_sealed(declared.annotation):
            plain[name] = unseal(value)
    return model.model_copy(update=plain)


def queue(
    session: Session,
    cause: Cause,
    *,
    audience: str,
    address: str,
    language: str,
    context: str,
    template: str | None = None,
    channel: str = "email",
    recipient_key: str = "",
    send_from: datetime | None = None,
    fallback_of: UUID | None = None,
) -> None:
    """Decides that whoever is at `address` is to be told. Once for each cause, audience, recipient and channel, however often it is asked.

    Events are told in whatever order they come: each is an act of its own, which a later one does not undo. Nothing is sent before
    `send_from`; what is no legal notice waits for the end of the recipient's quiet hours, and is not sent at all to who opted out or
    to an address that bounced. `session.info["queued"]` tells the worker that there is something to send once the transaction has
    committed.
    """
    template = template or cause.type.replace(".", "_")
    category = category_of(template)
    marks = contacts.marks(channel, address)
    known = contacts.known(session, marks)
    instant = send_from or now()
    status = "pending"
    if known is not None and category != "legal":
        if known.unwanted(category):
            return
        instant = known.after_quiet_hours(instant)
        if known.digest and category == "service":
            # Reminders are often for the very moment when the offices open: that moment's digest takes them.
            status, instant = "held", known.next_digest(instant - timedelta(microseconds=1))
    row = insert(Delivery).values(
        id=new_id(),
        cause_id=cause.id,
        cause_type=cause.type,
        about=cause.about,
        audience=audience,
        recipient_key=recipient_key,
        contact_id=known.contact_id if known is not None else None,
        channel=channel,
        category=category,
        template=template,
        language=language,
        fingerprint=marks[0],
        recipient=address,
        context=context,
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
        occurred_at=cause.occurred_at,
        status=status,
        next_attempt_at=instant,
        send_from=instant if instant > now() else None,
        fallback_of=fallback_of,
    )
    session.execute(row.on_conflict_do_nothing(index_elements=["cause_id", "audience", "recipient_key", "channel"]))
    session.info["queued"] = True


def take_over(session: Session, channel: str, sender: int) -> None:
    """Puts back what an earlier sender of this number, one that is gone, or one whose lease has ended left in the middle of sending.

    A number that nobody else has tells that whoever had it is dead, or has lost PostgreSQL and may be at work still, which is why what was
    just begun is left alone. Where PostgreSQL was started since, every sender has lost it: what was begun before is theirs until its lease
    ends. The server may have taken such a message: it is sent again under the same Message-ID.
    """
    instant = now()
    numbers_tell = Delivery.sending_since.between(sa.func.pg_postmaster_start_time(), instant - SETTLES)
    nobodys = Delivery.sender.in_(senders.gone(session, channel, sender)) & numbers_tell
    left = nobodys | (Delivery.next_attempt_at <= instant)
    query = sa.select(Delivery).where(Delivery.status == "sending", Delivery.channel == channel, left)
    for delivery in session.scalars(query.with_for_update(skip_locked=True)):
        with caused_by(delivery):
            # At once the first time; a message that ends its sender again and again waits longer each time.
            _defer(session, delivery, text("sender_ended"), backoff(delivery.attempts - 1))


@dataclass
class Ahead:
    """What a line of a channel has seen to be due, so that one look serves several messages. It holds nothing: each is taken by itself.

    `lines`: how many lines the channel has. Each has its share, so that they do not all reach for the same messages.
    """

    lines: int = 1
    seen: deque[Claimed] = field(default_factory=deque)
    until: float = 0.0

    def falls_to(self, sender: int, delivery_id: UUID) -> bool:
        return delivery_id.int % self.lines == sender % self.lines

    def following(self, sender: int) -> Claimed | None:
        """What is to be taken next; not what falls to another line, which may take it: a mail said in vain costs the connection."""
        due = self.seen and time.monotonic() <= self.until and self.falls_to(sender, self.seen[0].id)
        return self.seen[0] if due else None

    def share(self, found: Sequence[Any], sender: int) -> Sequence[Any]:
        """Of the first category: what falls to this line; if nothing does, what falls to others, who may not be at work."""
        first = [one for one in found if one.rank == found[0].rank]
        own = [one for one in first if self.falls_to(sender, one.id)]
        return (own or first)[:LOOK_AHEAD]


def claim(
    session: Session, channel: str, sender: int, rate: float | None = None, ahead: Ahead | None = None
) -> Claimed | None:
    """Takes the message of the channel that is due longest, legal notices first; none if none is, or if the channel's rate, in messages
    a second, is used up. The caller commits before it speaks to the other side."""
    ahead = ahead or Ahead()
    instant = now()
    if time.monotonic() > ahead.until:
        ahead.seen.clear()
    for _ in range(MOST_LOOKS):
        while ahead.seen:
            if rate is not None and not _may_send(session, channel, rate, instant):
                return None
            claimed = ahead.seen.popleft()
            if statements.take(session, _taking(claimed, sender)):
                return claimed
        if not _look(session, channel, sender, instant, ahead):
            return None
    return None


def begin_hand_over(
    statement: statements.HandOver,
    done: Claimed,
    outcome: Outcome,
    sent: Letter | None,
    following: Claimed,
    sender: int,
) -> None:
    """`record` of what was accepted, and `claim` of what was seen ahead, as one statement, whose end says whether the first is on record
    and whether the second could be taken. For what most messages are: `may_hand_over` says whether this is one."""
    statement.begin(_delivered(done, outcome, sent), _taking(following, sender))


def may_hand_over(done: Claimed, outcome: Outcome, rate: float | None, ahead: Ahead, sender: int) -> bool:
    plain = outcome.result == "accepted" and done.category != "legal" and done.channel != "webhook"
    return plain and rate is None and ahead.following(sender) is not None


def _taking(claimed: Claimed, sender: int) -> statements.Taking:
    begins = now()
    return statements.Taking(
        next_id=claimed.id,
        version=claimed.version - 1,
        next_attempt_id=claimed.attempt_id,
        sender=sender,
        begins=begins,
        until=begins + timedelta(seconds=settings().lease),
    )


def _look(session: Session, channel: str, sender: int, instant: datetime, ahead: Ahead) -> bool:
    """Sees what is due, and stops what is no longer wanted. Returns whether there was anything."""
    found = ahead.share(_due(session, channel, instant, LOOK_AHEAD * ahead.lines), sender)
    seen = [_seen(one) for one in found]
    stopped = gate.stopped(
        session,
        (
            gate.Waiting(one.id, channel, one.category, one.cause_type, one.cause_id, one.letter and one.letter[0])
            for one in seen
        ),
    )
    if stopped:
        _stop(session, stopped)
    ahead.seen.extend(one for one in seen if one.id not in stopped)
    ahead.until = time.monotonic() + LOOK_SECONDS
    return bool(found)


def _seen(found: Any) -> Claimed:
    """As it will be once it is taken."""
    told = {name: getattr(found, name) for name in statements.TOLD}
    return Claimed(found.id, found.version + 1, new_id(), **told, letter=_letter(found))


def _letter(found: Any) -> tuple[str, str] | None:
    """Recipient and context of an encrypted row; none if they cannot be decrypted."""
    try:
        return unseal(found.recipient.decode()), unseal(found.context.decode())
    except ValueError:  # not with the keys we have
        return None


def _stop(session: Session, stopped: Mapping[UUID, gate.Stopped]) -> None:
    for delivery in queries.waiting(session, stopped):
        delivery.next_attempt_at = stopped[delivery.id].until
        if (why := stopped[delivery.id].why) is not None:
            delivery.status, delivery.last_error = "cancelled", text(why)
    session.flush()


def content(session: Session, delivery: Delivery) -> tuple[str, str] | None:
    """Recipient and context; none if they cannot be decrypted."""
    personal = sa.select(Delivery.recipient, Delivery.context).where(Delivery.id == delivery.id)
    try:
        recipient, context = session.execute(personal).one()
    except ValueError:  # not with the keys we have
        return None
    return recipient, context


def _due(session: Session, channel: str, instant: datetime, limit: int) -> Sequence[sa.Row[Any]]:
    if channel == "webhook":
        return _due_of_a_subscription(session, instant)
    return statements.due(session, channel, instant, limit)


def _due_of_a_subscription(session: Session, instant: datetime) -> Sequence[sa.Row[Any]]:
    """One call at a time to each subscriber, so that a slow one holds up none but itself."""
    key = sa.cast(Subscription.id, sa.Text)
    of_it = sa.exists().where(Delivery.channel == "webhook", Delivery.recipient_key == key)
    free = (
        sa.select(key)
        .where(
            Subscription.active,
            (Subscription.rests_until.is_(None)) | (Subscription.rests_until <= instant),
            of_it.where(Delivery.status == "pending", Delivery.next_attempt_at <= instant),
            ~of_it.where(Delivery.status == "sending"),
        )
        .order_by(sa.func.random())  # a long backlog starves no other
        .limit(1)
        .with_for_update(skip_locked=True, of=Subscription)
    )
    subscriber = session.scalar(free)
    # Another sender may have begun a call after that statement looked and before it held the lock.
    calling = sa.exists().where(
        Delivery.channel == "webhook", Delivery.recipient_key == subscriber, Delivery.status == "sending"
    )
    if subscriber is None or session.scalar(sa.select(calling)):
        return []
    return statements.due(session, "webhook", instant, 1, subscriber)


def _may_send(session: Session, channel: str, rate: float, instant: datetime) -> bool:
    """Takes one of the channel's turns, which come `rate` times a second; those of the last second may be made up for."""
    step, lagging = timedelta(seconds=1 / rate), instant - timedelta(seconds=1)
    row = insert(Pace).values(channel=channel, next_at=instant + step)
    turn = row.on_conflict_do_update(
        index_elements=["channel"],
        set_={"next_at": sa.func.greatest(Pace.next_at, lagging) + step},
        where=Pace.next_at <= instant,
    ).returning(Pace.channel)
    return session.scalar(turn) is not None


def record(session: Session, claimed: Claimed, outcome: Outcome, sent: Letter | None = None) -> None:
    """Keeps what came of an attempt to send the letter and announces a final result. What another sender has done meanwhile stands,
    but an acceptance counts unless the message has come back."""
    delivered = _delivered(claimed, outcome, sent)
    reply = delivered["reply"]
    if outcome.result == "accepted" and statements.deliver(session, delivered):
        if claimed.category == "legal":
            _prove(session, session.get_one(Delivery, claimed.id, populate_existing=True), reply, sent)
    else:
        _record_else(session, claimed, outcome, reply, sent)
    if claimed.channel == "webhook":
        webhooks.heard(session, UUID(claimed.recipient_key), outcome)


def _delivered(claimed: Claimed, outcome: Outcome, sent: Letter | None) -> statements.Delivered:
    return statements.Delivered(
        delivery_id=claimed.id,
        attempt_id=claimed.attempt_id,
        instant=now(),
        reply=outcome.reply or text(outcome.code or ""),
        why=outcome.code,
        template_version=sent.version or None if sent is not None else None,
    )


def _record_else(session: Session, claimed: Claimed, outcome: Outcome, reply: str, sent: Letter | None) -> None:
    """What came of an attempt that did not deliver the message, whosesoever doing it was."""
    delivery = session.get_one(Delivery, claimed.id, with_for_update=True)
    attempt = session.get_one(Attempt, claimed.attempt_id)
    attempt.outcome, attempt.code = outcome.result, outcome.code
    attempt.reply = None if delivery.erased_at else reply
    if sent is not None and sent.version:
        delivery.template_version = sent.version
    if delivery.erased_at:  # while it was sent
        session.execute(sa.delete(InAppMessage).where(InAppMessage.id == delivery.id))
    elif outcome.result == "accepted" or delivery.version != claimed.version:
        pass
    elif outcome.result in ("refused", "unsendable"):
        _fail(session, delivery, reply, outcome.code, sent)
    else:
        _defer(session, delivery, reply, _wait(delivery, outcome), sent)
    session.flush()


def _wait(delivery: Delivery, outcome: Outcome) -> timedelta:
    if outcome.wait is not None:
        return min(timedelta(seconds=outcome.wait), LONGEST_WAIT)
    return backoff(delivery.attempts, _FIRST_WAITS.get(outcome.code or "", FIRST_WAIT))


def retry(session: Session, delivery: Delivery) -> None:
    """Sends a failed message again, with all its attempts before it. Raises `Refused` unless it has failed and is still there."""
    if delivery.erased_at is not None:
        raise Refused("erased")
    if delivery.status != "failed":
        raise Refused("not_failed")
    delivery.status, delivery.attempts, delivery.next_attempt_at = "pending", 0, now()
    session.flush()


def erase(session: Session, about: UUID, at: datetime) -> None:
    """Forgets to whom and what was written about an entity, and what servers said of it. What was not sent yet is not sent any more."""
    mine = (Delivery.about == about) & Delivery.erased_at.is_(None)
    of_it = sa.select(Delivery.id).where(Delivery.about == about)
    unsent = Delivery.status.in_(("pending", "sending", "held"))
    session.execute(
        sa.update(Delivery)
        .where(mine)
        .values(
            recipient="",
            context="",
            fingerprint=None,
            contact_id=None,
            evidence=None,
            last_error=sa.case((unsent, text("erased"))),
            status=sa.case((unsent, "failed"), else_=Delivery.status),
            next_attempt_at=None,
            sender=None,
            erased_at=at,
            version=Delivery.version + 1,
        )
    )
    session.execute(sa.update(Attempt).where(Attempt.delivery_id.in_(of_it)).values(reply=None))
    session.execute(sa.update(Proof).where(Proof.delivery_id.in_(of_it)).values(record=None))
    session.execute(sa.delete(InAppMessage).where(InAppMessage.about == about))


def backoff(attempts: int, first: timedelta = FIRST_WAIT) -> timedelta:
    """How long to wait after so many attempts: doubled each time, up to six hours, give or take a fifth; nothing after none."""
    if attempts < 1:
        return timedelta()
    spread = random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
    return spread * min(first * (1 << attempts - 1), LONGEST_WAIT)


def bounced(session: Session, delivery: Delivery, reason: str) -> None:
    """A message came back that had been accepted: it did not arrive. Nothing happens the second time."""
    if delivery.erased_at is not None or delivery.status not in ("delivered", "sending", "pending"):
        return
    delivery.status, delivery.bounced_at, delivery.last_error = "bounced", now(), reason
    _end(session, delivery)
    _tell_registry(session, delivery)
    _give_up(session, delivery, "bounced", reason)


def text(code: str, **params: Any) -> str:
    """What went wrong, for the people who run the service."""
    return i18n.text(PACKAGE, f"reply.{code}", **params)


@contextmanager
def caused_by(cause: Claimed | Delivery) -> Iterator[None]:
    """Within the block, log lines and events carry the correlation id of the event that the message tells of."""
    token = correlation_id.set(cause.correlation_id)
    try:
        yield
    finally:
        correlation_id.reset(token)


def _prove(session: Session, delivery: Delivery, evidence: str, sent: Letter | None) -> None:
    """That a legal notice was delivered."""
    proof.seal(session, delivery, "delivered", sent)
    if delivery.channel in NOTIFYING and delivery.delivered_at is not None:
        event = MessageDelivered(**_about(delivery), delivered_at=delivery.delivered_at, evidence=evidence)
        _publish(session, event, delivery.version)


NOTIFYING = ("email",)
"""Channels by which the law lets a person be notified. By another one they are only told where to find the notice."""


def _fail(
    session: Session, delivery: Delivery, reason: str, code: str | None = None, sent: Letter | None = None
) -> None:
    delivery.status, delivery.last_error = "failed", reason
    _end(session, delivery)
    if code in _NOBODY_THERE and delivery.fingerprint is not None:
        address = delivery.recipient if delivery.channel != "webhook" else None
        contacts.bounced(session, delivery.fingerprint, reason, delivery.channel, address)
        _tell_registry(session, delivery)
    _give_up(session, delivery, "failed", reason, sent)


_NOBODY_THERE = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "gone")
"""Failures that are of the address and not of the message (RFC 3463)."""


def _tell_registry(session: Session, delivery: Delivery) -> None:
    """An organization is not reached where it said: the register has to ask it for another address."""
    if delivery.audience == "organization":
        instant = now()
        event = OrganizationUnreachable(
            organization_id=UUID(delivery.recipient_key), channel=delivery.channel, at=instant
        )
        # Nothing here counts the versions of an organization; instants grow as well.
        _publish(session, event, int(instant.timestamp() * 1000))


def _give_up(session: Session, delivery: Delivery, result: str, reason: str, sent: Letter | None = None) -> None:
    if delivery.category == "legal":
        proof.seal(session, delivery, result, sent)
        if delivery.channel in NOTIFYING:
            event = MessageFailed(**_about(delivery), failed_at=now(), reason=reason)
            _publish(session, event, delivery.version)
    _fall_back(session, delivery)


def _publish(session: Session, event: Event, version: int) -> None:
    """To the services that listen, and to other systems."""
    event_id = emit(session, event, version=version)
    envelope = envelope_of(
        event,
        event_id=event_id,
        subject_version=version,
        occurred_at=now(),
        correlation_id=correlation_id.get(),
        traceparent=None,
    )
    webhooks.tell(session, event, envelope)


def _fall_back(session: Session, delivery: Delivery) -> None:
    """Tries the next channel by which the recipient is reached, if there is one that was not tried yet: one of the contact's, or the
    telephone that the event names."""
    if delivery.channel == "webhook":
        return
    if delivery.cause_type == "notifications.verification":
        return  # a code proves the address it was sent to, and no other
    letter = content(session, delivery)
    if letter is None:
        return
    same = (Delivery.cause_id, Delivery.audience, Delivery.recipient_key)
    tried = set(
        session.scalars(
            sa.select(Delivery.channel).where(*(column == getattr(delivery, column.key) for column in same))
        )
    )
    way = None
    if delivery.contact_id is not None:
        following = contacts.next_address(session, delivery.contact_id, tried, set(settings().channels))
        way = (following.channel, following.value) if following is not None else None
    elif phone := json.loads(letter[1]).get("recipient_phone"):
        way = by_telephone(phone)
    if way is None or way[0] in tried:
        return
    channel, address = way
    queue(
        session,
        Cause(
            delivery.cause_id,
            delivery.cause_type,
            delivery.about,
            delivery.occurred_at,
            delivery.correlation_id,
            delivery.traceparent,
        ),
        audience=delivery.audience,
        recipient_key=delivery.recipient_key,
        address=address,
        channel=channel,
        language=delivery.language,
        context=letter[1],
        template=delivery.template,
        fallback_of=delivery.id,
    )


def _defer(session: Session, delivery: Delivery, reason: str, wait: timedelta, sent: Letter | None = None) -> None:
    if delivery.attempts >= MAX_ATTEMPTS:
        _fail(session, delivery, text("gave_up", attempts=delivery.attempts, reply=reason), sent=sent)
        return
    delivery.status, delivery.last_error, delivery.sender = "pending", reason, None
    delivery.next_attempt_at = now() + wait


def _end(session: Session, delivery: Delivery) -> None:
    delivery.next_attempt_at = delivery.sender = None
    session.flush()


def _about(delivery: Delivery) -> dict[str, UUID | str]:
    return {
        "message_id": delivery.id,
        "cause_id": delivery.cause_id,
        "cause_type": delivery.cause_type,
        "about": delivery.about,
        "channel": delivery.channel,
    }


def _is_sealed(annotation: object) -> bool:
    return Sealed in (annotation, *getattr(annotation, "__args__", ()))
