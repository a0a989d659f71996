"""Whom to tell of what, and when a system that does not take it is left alone. Each takes a session, none commits."""

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from secrets import token_bytes
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_notifications.channels import Outcome
from tejido_notifications.letters.variables import hides
from tejido_notifications.models import Delivery, KnownEvent, Subscription
from tejido_notifications.settings import jurisdiction, settings
from tejido_notifications.webhooks import queries, targets
from tejido_shared.clock import now
from tejido_shared.contracts import EVENTS, LISTENERS, Envelope, Event, ProofSeen
from tejido_shared.ids import new_id
from tejido_shared.logs import correlation_id
from tejido_shared.refusals import Refused

SERVICE = "notifications"
TEST = "tejido.test"
KEPT = timedelta(days=30)
"""How long what was heard can be told again."""
FIRST_REST, LONGEST_REST = timedelta(seconds=10), timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=5)
OLD_SECRET_SIGNS = timedelta(hours=24)
MOST_AT_ONCE = 2_000
"""Events one replay looks at: a second or two of work."""
_ONCE = ("cause_id", "audience", "recipient_key", "channel")
log = structlog.get_logger()


class Replayed(NamedTuple):
    """`until`: up to then, everything that happened is queued."""

    queued: int
    complete: bool
    until: datetime


# What happened


def tell(session: Session, event: Event, envelope: Envelope) -> None:
    """Keeps what was heard, and queues a call to each active subscription that wants to know of it. Once, however often it is asked.

    Two statements at most. `session.info["queued"]` tells the worker that there is something to send.
    """
    body = public(event, envelope)
    known = insert(KnownEvent).values(id=envelope.id, type=envelope.type, occurred_at=envelope.occurred_at, body=body)
    keep = known.on_conflict_do_nothing().returning(KnownEvent.id).cte("kept")
    active = sa.select(Subscription.id, Subscription.events, Subscription.filters).where(Subscription.active)
    rows = [
        _delivery(subscription_id, body, envelope.correlation_id, now())
        for subscription_id, events, filters in session.execute(active.add_cte(keep))
        if _wants(events, filters, body)
    ]
    _queue(session, rows)


def public(event: Event, envelope: Envelope) -> dict[str, Any]:
    """What other systems are told: nothing that is sealed, nor a field that this version does not know and so cannot judge."""
    return {
        "id": str(envelope.id),
        "type": envelope.type,
        "timestamp": envelope.occurred_at.isoformat(),
        "subject": str(envelope.subject),
        "subject_version": envelope.subject_version,
        "data": event.model_dump(mode="json", include=set(_public_fields(type(event)))),
    }


def forget_old(session: Session) -> int:
    """Forgets what was heard longer ago than `KEPT`. Returns how many events that were."""
    old = sa.delete(KnownEvent).where(KnownEvent.occurred_at < now() - KEPT)
    return int(session.execute(old).rowcount)  # type: ignore[attr-defined]


def replay(
    session: Session, subscription: Subscription, since: datetime, until: datetime | None, events: list[str] | None
) -> Replayed:
    """Queues again what happened from `since` to before `until`, as far as it is subscribed. Raises `Refused` for a period that is none.

    There is one delivery of an event to a subscription, and it is sent anew; one that still waits stays as it is, so that asking twice
    sends nothing twice. The receiver knows a repetition by its `webhook-id`, which is the event's.
    """
    until = until or now()
    if since >= until:
        raise Refused("webhook_period", "until")
    _check_events(events or ["*"])
    period = sa.select(KnownEvent.occurred_at, KnownEvent.body).where(
        KnownEvent.occurred_at >= since, KnownEvent.occurred_at < until
    )
    found = session.execute(period.order_by(KnownEvent.occurred_at, KnownEvent.id).limit(MOST_AT_ONCE + 1)).all()
    rest = found[MOST_AT_ONCE:]
    bodies = [
        body
        for _, body in found[:MOST_AT_ONCE]
        if _wants(subscription.events, subscription.filters, body)
        and (events is None or _is_among(body["type"], events))
    ]
    instant = now()
    # A microsecond apart, so that they are sent in the order in which they happened.
    instants = (instant + timedelta(microseconds=place) for place in range(len(bodies)))
    # Figures count from when it was asked for, not from what happened long before.
    rows = [
        {**_delivery(subscription.id, body, correlation_id.get(), at), "send_from": at}
        for body, at in zip(bodies, instants, strict=True)
    ]
    return Replayed(_queue(session, rows, again=True), not rest, rest[0].occurred_at if rest else until)


# Subscriptions


def subscribe(
    session: Session,
    *,
    name: str,
    url: str,
    events: list[str],
    filters: Mapping[str, Any],
    secret: str | None,
    created_by: str,
) -> Subscription:
    """Raises `Refused` naming what may not be: an address inside the house, an event nobody hears, a filter nothing can pass."""
    _check_url(url)
    _check_events(events)
    _check_filters(events, filters)
    subscription = Subscription(
        name=name,
        url=url,
        events=list(dict.fromkeys(events)),
        filters=dict(filters),
        secret=_checked(secret) or new_secret(),
        active=True,
        created_by=created_by,
    )
    session.add(subscription)
    session.flush()
    return subscription


def change(session: Session, subscription: Subscription, changes: Mapping[str, Any]) -> None:
    """Changes name, url, events, filters, active. What a new address or a new start is given is tried at once."""
    if "url" in changes:
        _check_url(changes["url"])
    events, filters = (changes.get(name, getattr(subscription, name)) for name in ("events", "filters"))
    if {"events", "filters"} & changes.keys():
        _check_events(events)
        _check_filters(events, filters)
    for name, value in changes.items():
        setattr(subscription, name, list(dict.fromkeys(value)) if name == "events" else value)
    if "url" in changes or "active" in changes:
        subscription.failing_since = subscription.rests_until = None
    session.info["queued"] = True
    session.flush()


def rotate(session: Session, subscription: Subscription, secret: str | None) -> str:
    """Gives it a new secret, and returns it. The one before signs too for a day, so that nothing is refused meanwhile."""
    fresh = _checked(secret) or new_secret()
    if fresh != subscription.secret:
        subscription.old_secret, subscription.old_secret_until = subscription.secret, now() + OLD_SECRET_SIGNS
        subscription.secret = fresh
        session.flush()
    return fresh


def unsubscribe(session: Session, subscription: Subscription) -> None:
    """Forgets the subscription. What still waited for it is cancelled; what was sent stays on record."""
    _cancel_waiting(session, subscription.id)
    session.delete(subscription)
    session.flush()


def send_test(session: Session, subscription: Subscription) -> UUID:
    """Queues a call that tells of nothing, at once even to a system that rests. Returns its id. Raises `Refused` if it is not active."""
    if not subscription.active:
        raise Refused("webhook_inactive")
    rested = sa.update(Subscription).where(Subscription.id == subscription.id)
    session.execute(rested.values(rests_until=None), execution_options=_BY_ITSELF)
    event_id, subject = new_id(), str(subscription.id)
    body = {
        "id": str(event_id),
        "type": TEST,
        "timestamp": now().isoformat(),
        "subject": subject,
        "subject_version": 1,
        "data": {"subscription_id": subject},
    }
    _queue(session, [_delivery(subscription.id, body, correlation_id.get(), now())])
    return event_id


def heard(session: Session, subscription_id: UUID, outcome: Outcome) -> None:
    """What a call to the subscription came to. One that fails rests as a whole: for as long as it has been failing, up to an hour.

    After five days, or a 410, it is stopped until an administrator starts it again. To be called last in what records an attempt. The
    version stays, for nobody changed the subscription.
    """
    mine = Subscription.id == subscription_id
    if outcome.result == "unsendable":
        return  # not the receiver's doing
    if outcome.result == "accepted":
        well = sa.update(Subscription).where(mine, Subscription.active, Subscription.failing_since.is_not(None))
        session.execute(well.values(failing_since=None, rests_until=None), execution_options=_BY_ITSELF)
        return
    state = sa.select(Subscription.active, Subscription.failing_since).where(mine).with_for_update()
    row = session.execute(state).one_or_none()
    if row is None:  # deleted during the call
        _cancel_waiting(session, subscription_id)
        return
    if not row.active:
        return
    instant = now()
    since = row.failing_since or instant
    rest = min(max(instant - since, FIRST_REST), LONGEST_REST)
    rest *= random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
    if outcome.wait is not None:
        rest = max(rest, min(timedelta(seconds=outcome.wait), LONGEST_REST))
    values: dict[str, Any] = {"failing_since": since, "rests_until": instant + rest}
    if outcome.code == "gone" or instant - since >= GIVEN_UP_AFTER:
        values["active"] = False
        log.warning("subscription_stopped", subscription_id=str(subscription_id), why=outcome.code)
    session.execute(sa.update(Subscription).where(mine).values(values), execution_options=_BY_ITSELF)


_BY_ITSELF = {"synchronize_session": False}


def new_secret() -> str:
    return "whsec_" + b64encode(token_bytes(32)).decode()


def events_heard() -> list[str]:
    """The types of events that can be subscribed to: what this service listens to, and its own; not who saw what in the house."""
    heard = [name for name, kind in EVENTS.items() if SERVICE in LISTENERS[kind] or name.startswith(f"{SERVICE}.")]
    return [name for name in heard if name != ProofSeen.type]


def _check_url(url: str) -> None:
    problem = targets.problem_of(url, private=settings().webhook_private)
    if problem is not None:
        raise Refused(problem, "url")


def _check_events(events: Iterable[str]) -> None:
    if any(not any(_is_among(name, [pattern]) for name in events_heard()) for pattern in events):
        raise Refused("webhook_event", "events")


def _check_filters(events: list[str], filters: Mapping[str, Any]) -> None:
    """Every field is a public one of some event that is subscribed."""
    fields = {name for kind in events_heard() if _is_among(kind, events) for name in _public_fields(EVENTS[kind])}
    if not filters.keys() <= fields:
        raise Refused("webhook_filter", "filters")


def _checked(secret: str | None) -> str | None:
    """A secret somebody else made. Raises `Refused` unless it is of the length that Standard Webhooks wants."""
    if secret is None:
        return None
    try:
        length = len(b64decode(secret.removeprefix("whsec_"), validate=True))
    except ValueError:
        length = 0
    if not 24 <= length <= 64:
        raise Refused("webhook_secret", "secret")
    return secret


def _wants(events: list[str], filters: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    return _is_among(body["type"], events) and all(
        _passes(body["data"].get(name), wanted) for name, wanted in filters.items()
    )


def _is_among(name: str, patterns: Iterable[str]) -> bool:
    return any(name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns)


def _passes(value: Any, wanted: list[Any]) -> bool:
    """One value of several suffices. `true` is not 1."""
    values = value if isinstance(value, list) else [value]
    return any(type(one) is type(other) and one == other for one in values for other in wanted)


@cache
def _public_fields(kind: type[Event]) -> frozenset[str]:
    return frozenset(
        name for name, field in kind.model_fields.items() if name not in _OF_PEOPLE and not hides(field.annotation)
    )


_OF_PEOPLE = ("assignee", "evidence", "reason")
"""Fields that name an official's account, or hold a mail server's words, which may name the recipient."""


def _delivery(subscription_id: UUID, body: Mapping[str, Any], correlation: str, at: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "cause_id": UUID(body["id"]),
        "cause_type": body["type"],
        "about": UUID(body["subject"]),
        "audience": "subscriber",
        "recipient_key": str(subscription_id),
        "channel": "webhook",
        "template": "webhook",
        "language": jurisdiction().locale.partition("-")[0],
        "recipient": "",
        "context": json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        "correlation_id": correlation,
        "occurred_at": datetime.fromisoformat(body["timestamp"]),
        "next_attempt_at": at,
    }


def _queue(session: Session, rows: list[dict[str, Any]], *, again: bool = False) -> int:
    """Writes deliveries. With `again`, those that are there already and do not wait are sent anew. Returns how many are to be sent."""
    if not rows:
        return 0
    new = insert(Delivery)
    if again:
        told_anew = ("context", "correlation_id", "next_attempt_at", "send_from")
        fresh: dict[str, Any] = {name: new.excluded[name] for name in told_anew}
        fresh |= dict.fromkeys(("delivered_at", "evidence", "last_error", "sender"))
        fresh |= {"status": "pending", "attempts": 0, "version": Delivery.version + 1}
        idle = sa.and_(Delivery.status != "pending", Delivery.status != "sending", Delivery.erased_at.is_(None))
        new = new.on_conflict_do_update(index_elements=_ONCE, set_=fresh, where=idle)
    else:
        new = new.on_conflict_do_nothing(index_elements=_ONCE)
    session.info["queued"] = True
    return len(session.execute(new.returning(Delivery.id), rows).all())


def _cancel_waiting(session: Session, subscription_id: UUID) -> None:
    waiting = sa.update(Delivery).where(queries.of(subscription_id), Delivery.status == "pending")
    cancelled = {"status": "cancelled", "next_attempt_at": None, "version": Delivery.version + 1}
    session.execute(waiting.values(cancelled), execution_options=_BY_ITSELF)
