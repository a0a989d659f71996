"""Erasing personal data once its time is over, by the pack's rules (`retention.toml`); numbers, types and dates stay.

One transaction erases the rows of some requests and says why; then their files are deleted. If a kill comes between, the sweep of files
without a row (`attachments.tasks`) deletes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session, aliased

from tejido_requests.attachments.service import store
from tejido_requests.audit.service import ACCESS, HISTORY, entry, record, record_all
from tejido_requests.models import Attachment, Draft, Note, Rating, ServiceRequest, Tombstone
from tejido_requests.settings import jurisdiction
from tejido_shared import contracts
from tejido_shared.clock import now
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import RetentionRule
from tejido_shared.outbox import emit_all
from tejido_shared.personal import Personal
from tejido_shared.refusals import Refused

BATCH = 200
log = structlog.get_logger()

_REQUEST: Any = sa.inspect(ServiceRequest).local_table
_KEPT = {"tracking_code"}
"""Encrypted, but of nobody: with it the citizen still sees what became of the request."""
_ERASED: dict[str, Any] = {
    column.key: None if column.nullable else ""
    for column in _REQUEST.columns
    if isinstance(column.type, Personal) and column.key not in _KEPT
} | {
    "attachments": [],
    "addressees": [],
    "filed_by": None,
    "latitude": None,
    "longitude": None,
    "search_tokens": [],
}
"""What a request's row says afterwards. The point goes, for it may be a home; the area stays, for the figures."""


@dataclass(frozen=True)
class Due:
    """What is past its time."""

    by_type: list[tuple[str, RetentionRule, int]]
    held: int
    related: int
    first: list[str]

    @property
    def count(self) -> int:
        return sum(count for _, _, count in self.by_type)


def _rule_of(type_code: str) -> RetentionRule:
    """The rule that reaches a request of this type. Raises `StopIteration` if none does."""
    rules = sorted(jurisdiction().retention, key=lambda rule: not rule.types)
    return next(rule for rule in rules if type_code in rule.types or not rule.types)


def _past(instant: datetime) -> sa.ColumnElement[bool]:
    """Closed for longer than the rule of its type says, and not erased yet. The general rule reaches also types the pack dropped."""
    rules = jurisdiction().retention
    named = [code for rule in rules for code in rule.types]
    reached = [
        (ServiceRequest.request_type.in_(rule.types) if rule.types else ServiceRequest.request_type.not_in(named))
        & (ServiceRequest.closed_at < sa.literal(instant) - sa.func.make_interval(0, rule.after_months))
        for rule in rules
    ]
    return sa.or_(sa.false(), *reached) & ServiceRequest.tombstoned_at.is_(None)


def _free_of_open() -> list[sa.ColumnElement[bool]]:
    """No open request was split from it, disputes its answer or answers it, nor the other way round."""
    other = aliased(ServiceRequest)
    names = ("parent_id", "reopens_id", "merged_into_id")
    ties = [
        *(getattr(other, name) == ServiceRequest.id for name in names),
        *(other.id == getattr(ServiceRequest, name) for name in names),
    ]
    # One by one and not joined by `or`, or PostgreSQL would look each of them up for every row.
    return [~sa.exists().where(tie, other.closed_at.is_(None)) for tie in ties]


def _due(instant: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(_past(instant), ServiceRequest.held_at.is_(None), *_free_of_open())


def due(session: Session, limit: int = 50) -> Due:
    """What a batch would erase now: counts by type, and the numbers of the first `limit` by when they closed."""
    instant = now()
    counts = sa.select(ServiceRequest.request_type, sa.func.count()).where(_due(instant))
    by_type = [
        (code, _rule_of(code), count)
        for code, count in session.execute(counts.group_by(ServiceRequest.request_type).order_by("request_type"))
    ]
    held = ServiceRequest.held_at.is_not(None)
    past = sa.select(sa.func.count().filter(held), sa.func.count().filter(~held)).where(_past(instant))
    kept, free = session.execute(past).one()
    first = sa.select(ServiceRequest.number).where(_due(instant)).order_by(ServiceRequest.closed_at, ServiceRequest.id)
    related = free - sum(count for _, _, count in by_type)
    return Due(by_type, kept, related, list(session.scalars(first.limit(limit))))


@dataclass(frozen=True)
class Erased:
    """Of how many requests, and the keys of their files: to be given to `delete_files` once it is committed."""

    requests: int
    files: list[UUID]


def erase(session: Session, batch: UUID, by: str, reason: str | None = None, *, limit: int = BATCH) -> Erased:
    """Erases the personal data of up to `limit` requests that are due, oldest first, and tells who holds copies.

    The tombstone's reason is the article of the rule, and `reason`.
    """
    instant = now()
    first = (
        sa.select(ServiceRequest.id)
        .where(_due(instant))
        .order_by(ServiceRequest.closed_at, ServiceRequest.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=ServiceRequest)
    )
    locked = session.scalars(first).all()
    # Seen again under the lock: meanwhile somebody may have held or reopened one.
    names = ("id", "version", "number", "request_type", "status", "received_at", "closed_at")
    columns = (_REQUEST.c[name] for name in names)
    requests = session.execute(sa.select(*columns).where(_REQUEST.c.id.in_(locked), _due(instant))).all()
    if not requests:
        return Erased(0, [])
    tombstones, entries = [], []
    for request in requests:
        why = ". ".join(filter(None, (_rule_of(request.request_type).article, reason)))
        tombstones.append(
            {name: getattr(request, name) for name in ("number", "request_type", "status", "received_at", "closed_at")}
            | {"request_id": request.id, "batch": batch, "reason": why, "at": instant, "by": by}
        )
        entries.append(entry(request, "tombstoned", instant, by, {"batch": str(batch)}))
    ids = [request.id for request in requests]
    session.execute(sa.insert(Tombstone), tombstones)
    files = _empty(session, ids, instant)
    record_all(session, entries)
    gone = [(contracts.RequestErased(request_id=each.id, erased_at=instant), each.version + 1) for each in requests]
    emit_all(session, gone)
    return Erased(len(ids), files)


def _empty(session: Session, ids: list[UUID], instant: datetime) -> list[UUID]:
    """Erases all that is personal of these requests but their files, whose keys it returns."""
    session.execute(
        sa.update(_REQUEST)
        .where(_REQUEST.c.id.in_(ids))
        .values(**_ERASED, tombstoned_at=instant, version=_REQUEST.c.version + 1)
    )
    for table in (HISTORY, ACCESS):
        hidden = [table.c[name] for name in ("reason", "evidence") if name in table.c]
        filled = sa.or_(*(column.is_not(None) for column in hidden))
        emptied = {column.name: None for column in hidden}
        session.execute(sa.update(table).where(table.c.request_id.in_(ids), filled).values(emptied))
    for model in (Draft, Note):
        session.execute(sa.delete(model).where(model.request_id.in_(ids)))
    session.execute(sa.update(Rating).where(Rating.request_id.in_(ids)).values(comment=None))
    return list(session.scalars(sa.delete(Attachment).where(Attachment.request_id.in_(ids)).returning(Attachment.key)))


def delete_files(keys: list[UUID]) -> None:
    """Deletes the files of requests that were erased."""
    for key in keys:
        store.delete(key)


def run(
    database: Database, by: str, *, reason: str | None = None, limit: int | None = None, told: Callable[[int], None]
) -> tuple[UUID, int]:
    """Erases all that is due, or up to `limit`, in transactions of 200; `told` hears how many so far.

    Returns the batch's id and of how many requests.
    """
    batch, erased = new_id(), 0
    while limit is None or erased < limit:
        with database.tx() as session:
            done = erase(session, batch, by, reason, limit=BATCH if limit is None else min(BATCH, limit - erased))
        if not done.requests:
            break
        delete_files(done.files)
        erased += done.requests
        told(erased)
    if erased:
        log.info("personal_data_erased", batch=str(batch), requests=erased)
    return batch, erased


def hold(session: Session, request: ServiceRequest, author: str, *, held: bool, reason: str) -> None:
    """A legal hold: the request's personal data is kept until it is lifted. Raises `Refused` once it was erased."""
    if request.tombstoned_at is not None:
        raise Refused("request_erased")
    if (request.held_at is not None) == held:
        return
    request.held_at = now() if held else None
    record(session, request, "held" if held else "hold_lifted", now(), author, reason=reason)
    session.flush()
