"""Which open requests a change of the calendar moves, and to when: first as a preview, then for good.

Requests of one type received on one day under one policy share their date until something happens to them: it is worked out once for all
of them. The others are worked out one by one, from their own history. A request that does not move is not touched: its history still
says with which calendar it was counted, and by that one its date is the same.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Session, load_only

from tejido_requests.audit.service import HISTORY
from tejido_requests.calendars import queries
from tejido_requests.clocks import service as clocks
from tejido_requests.models import CalendarChange, HistoryEntry, ServiceRequest
from tejido_requests.settings import jurisdiction
from tejido_shared import contracts
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import Closure
from tejido_shared.outbox import emit_all

BATCH = 2000
"""Requests of one transaction: the desk waits for their rows no longer than that takes, a fraction of a second."""
EXAMPLES = 10
END = UUID(int=2**128 - 1)
"""The cursor of a change all of whose requests were looked at once."""
_ONE_BY_ONE = tuple(kind for kind in clocks.ACTS if kind not in ("acknowledged", "calendar_changed"))
"""What makes a request's clock its own."""
_TABLE: Any = sa.inspect(ServiceRequest).local_table
_RECIPIENT = ("petitioner_name", "petitioner_email")
_SHARED = (
    *("request_type", "term_unit", "term_n", "term_article", "term_kind", "term_extension_max", "term_copies_within"),
    "terms_version",
)
"""What requests have in common that have one date, besides the moment of receipt and the policy."""


@dataclass(frozen=True)
class Span:
    """The first and the last day a change opens or closes, and the types of request to which it makes no difference."""

    first: date
    last: date
    untouched: tuple[str, ...]


@dataclass(frozen=True)
class Dated:
    """What a clock comes to. `citizen`: until when the citizen may complete the request."""

    received: date
    due: date | None
    overdue_at: datetime | None = None
    soon: date | None = None
    left: int | None = None
    citizen: date | None = None
    alarm_at: datetime | None = None

    def moved_from(self, other: "Dated") -> bool:
        return (self.due, self.left, self.citizen) != (other.due, other.left, other.citizen)

    @property
    def shown(self) -> date | None:
        """The date people wait for: the answer's, or while that one rests, the citizen's."""
        return self.due or self.citizen


def span(before: Sequence[Closure], after: Sequence[Closure]) -> Span | None:
    """What lies between two states of the calendar; none if every clock runs alike by both."""
    pack = jurisdiction()
    changed: set[date] = set()
    untouched = []
    for code in [kind.code for kind in pack.request_types]:
        days = {
            day
            for day in queries.suspended(before, code).keys() ^ queries.suspended(after, code).keys()
            if pack.counting.weekdays[day.weekday()] == "1"
        }
        changed |= days
        if not days:
            untouched.append(code)
    return Span(min(changed), max(changed), tuple(untouched)) if changed else None


def _in_span(found: Span) -> sa.ColumnElement[bool]:
    """The open requests whose clock runs over a changed day; what the asking authority set is not counted, so it does not move."""
    end = datetime.combine(found.last + timedelta(days=1), time(), jurisdiction().zone)
    runs = (
        (ServiceRequest.due_date >= found.first)
        | ServiceRequest.due_date.is_(None)
        | (ServiceRequest.citizen_due_date >= found.first)
    )
    conditions = [
        ServiceRequest.status.in_(clocks.OPEN),
        ServiceRequest.term_unit.is_not(None),
        ServiceRequest.received_at < end,
        runs,
    ]
    if found.untouched:
        conditions.append(ServiceRequest.request_type.not_in(found.untouched))
    return sa.and_(*conditions)


def _acted() -> sa.ColumnElement[bool]:
    return sa.exists().where(HistoryEntry.request_id == ServiceRequest.id, HistoryEntry.kind.in_(_ONE_BY_ONE))


@lru_cache
def _policy(text: str) -> tuple[dict[str, Any], time]:
    stored = json.loads(text)
    return stored, time.fromisoformat(stored["cutoff"])


class Groups:
    """Dates of requests nothing has happened to, by one version of the calendar. `known` are those worked out before."""

    def __init__(self, session: Session, version: int, known: dict[Any, Dated] | None = None) -> None:
        self._session, self._version = session, version
        self._known = {} if known is None else known
        self._zone = jurisdiction().zone

    def dated(self, row: Any) -> Dated:
        """`row` has the columns of `_SHARED`, `received_at`, `acknowledged_at` and the policy's text as `policy_text`."""
        policy, cutoff = _policy(row.policy_text)
        local = row.received_at.astimezone(self._zone)
        key = (
            *(getattr(row, name) for name in _SHARED),
            *(self._version, row.policy_text, local.date(), local.time() >= cutoff, row.acknowledged_at is None),
        )
        if key not in self._known:
            one: Any = SimpleNamespace(
                **{name: getattr(row, name) for name in _SHARED},
                received_at=row.received_at,
                policy=policy,
                calendar_version=self._version,
                first_due_date=None,
            )
            told = [clocks.History(row.received_at, "received", {}, self._version)]
            if row.acknowledged_at is not None:
                told.append(clocks.History(row.acknowledged_at, "acknowledged", {}))
            self._known[key] = _dated(clocks.clocks(self._session, one, told))
        return self._known[key]


def _dated(found: Sequence[clocks.Clock]) -> Dated:
    answer = found[0].deadline
    citizen = next((clock for clock in reversed(found) if clock.kind == "citizen_completion"), None)
    ahead = clocks.thresholds(found)
    return Dated(
        answer.effective_receipt_date,
        answer.due_date,
        answer.overdue_at,
        answer.due_soon_from,
        answer.days_left,
        citizen.deadline.due_date if citizen is not None and citizen.status == "running" else None,
        ahead[0].at if ahead else None,
    )


def _with_change(told: Iterable[clocks.History], at: datetime, version: int) -> list[clocks.History]:
    return sorted([*told, clocks.History(at, "calendar_changed", {}, version)], key=lambda entry: entry.at)


# The preview


class _Tally:
    """Counts what moves, without keeping it."""

    def __init__(self) -> None:
        self.looked_at = self.moved = self.later = self.earlier = self.overdue_at_once = self.no_longer_overdue = 0
        self.by_days: Counter[int] = Counter()
        self.by_type: Counter[str] = Counter()
        self.by_office: Counter[str] = Counter()
        self.examples: list[dict[str, Any]] = []
        self._shown: Counter[tuple[str, int]] = Counter()
        self._now = now()

    def take(self, row: Any, new: Dated, amount: int = 1) -> None:
        old = Dated(row.effective_receipt_date, row.due_date, row.overdue_at, None, row.days_left, row.citizen_due_date)
        self.looked_at += amount
        if not new.moved_from(old):
            return
        days = (new.shown - old.shown).days if new.shown and old.shown else 0
        self.moved += amount
        self.later += amount if days > 0 else 0
        self.earlier += amount if days < 0 else 0
        if old.overdue_at and new.overdue_at:
            self.overdue_at_once += amount if new.overdue_at <= self._now < old.overdue_at else 0
            self.no_longer_overdue += amount if old.overdue_at <= self._now < new.overdue_at else 0
        self.by_days[days] += amount
        self.by_type[row.request_type] += amount
        self.by_office[row.office] += amount
        kind = row.request_type, days
        if len(self.examples) < EXAMPLES and self._shown[kind] < 2:
            self._shown[kind] += 1
            dates = {"old": _iso(old.shown), "new": _iso(new.shown)}
            self.examples.append({"number": row.number, "request_type": row.request_type, "office": row.office} | dates)

    def result(self) -> dict[str, Any]:
        names = ("looked_at", "moved", "later", "earlier", "overdue_at_once", "no_longer_overdue", "examples")
        return {name: getattr(self, name) for name in names} | {
            "by_days": {str(days): self.by_days[days] for days in sorted(self.by_days)},
            "by_type": dict(self.by_type.most_common()),
            "by_office": dict(self.by_office.most_common()),
        }


def preview(session: Session, after: Sequence[Closure], changed: Span | None) -> dict[str, Any]:
    """How many open requests would move and by how much, if these closures took the place of those in force."""
    tally = _Tally()
    if changed is not None:
        session.execute(sa.text("set local statement_timeout = '60s'"))
        with queries.trial(after) as version:
            groups = Groups(session, version)
            for row in session.execute(_grouped(changed), execution_options={"yield_per": 500}):
                tally.take(row, groups.dated(row), row.amount)
            for batch in _one_by_one(session, changed):
                past = clocks.histories(session, [request.id for request in batch])
                for request in batch:
                    told = _with_change(past[request.id], now(), version)
                    tally.take(request, _dated(clocks.clocks(session, request, told)))
    return tally.result()


def _grouped(changed: Span) -> sa.Select[Any]:
    """The requests nothing has happened to: one row for all that have and keep the same date."""
    local = sa.func.timezone(jurisdiction().time_zone, ServiceRequest.received_at)
    policy = sa.cast(ServiceRequest.policy, sa.Text)
    cutoff = sa.cast(ServiceRequest.policy["cutoff"].astext, sa.Time)
    by: list[Any] = [
        getattr(ServiceRequest, name) for name in (*_SHARED, "office", "effective_receipt_date", "due_date")
    ]
    by += [ServiceRequest.overdue_at, policy.label("policy_text")]
    hidden: list[Any] = [sa.cast(local, sa.Date), sa.cast(local, sa.Time) >= cutoff]
    return (
        sa.select(
            *by,
            sa.func.count().label("amount"),
            sa.func.min(ServiceRequest.number).label("number"),
            sa.func.min(ServiceRequest.received_at).label("received_at"),
            # It moves no date; what it changes are reminders, which a preview does not show.
            sa.null().label("acknowledged_at"),
            sa.null().label("days_left"),
            sa.null().label("citizen_due_date"),
        )
        .where(_in_span(changed), ~_acted())
        .group_by(*by, *hidden)
    )


_READ = (
    *("id", "number", "type_name", "office", "language", "status", "received_at", "policy", "effective_receipt_date"),
    *("due_date", "first_due_date", "overdue_at", "days_left", "citizen_due_date", "acknowledged_at", "version"),
    *("clock_version", "calendar_version", *_SHARED),
)


def _one_by_one(session: Session, changed: Span) -> Iterator[Sequence[Any]]:
    columns = [getattr(ServiceRequest, name) for name in _READ]
    last: UUID | None = None
    while True:
        query = sa.select(*columns).where(_in_span(changed), _acted())
        if last is not None:
            query = query.where(ServiceRequest.id > last)
        batch = session.execute(query.order_by(ServiceRequest.id).limit(BATCH)).all()
        yield batch
        if len(batch) < BATCH:
            return
        last = batch[-1].id


# The re-dating


@dataclass
class Search:
    """How far one worker has come in looking for requests that were left out, and how many it could not have yet."""

    change: UUID | None = None
    last: UUID | None = None
    left: int = 0


def redate_some(session: Session, search: Search) -> bool:
    """Re-dates the next batch of the confirmed change that is running. Returns whether there is more to do now.

    Rows somebody is working on are left out. So at the end all are looked through again, and again in later runs, until none was. Several
    workers share the work; none waits for another, and what one did before it was killed stays done.
    """
    change = session.scalar(
        sa.select(CalendarChange)
        .where(CalendarChange.status == "confirmed")
        .order_by(CalendarChange.calendar_version)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if change is None:
        return False
    batch = _Batch(session, change)
    if change.cursor != END:
        ids = batch.next(change.cursor)
        _, moved = batch.redate(ids)
        change.seen += len(ids)
        change.moved += moved
        change.cursor = ids[-1] if len(ids) == BATCH else END
        return True
    if search.change != change.id:
        search.change, search.last, search.left = change.id, None, 0
    ids = batch.next(search.last)
    left_out, moved = batch.redate(ids)
    change.moved += moved
    search.left += left_out
    if len(ids) == BATCH:
        search.last = ids[-1]
        return True
    if not search.left:
        change.status, change.done_at = "done", now()
    return False


_spans: dict[int, Span | None] = queries.memory()
_dates: dict[Any, Dated] = queries.memory()
"""What one batch has worked out for the next ones of the same version."""


class _Batch:
    """Re-dates requests by one confirmed change."""

    def __init__(self, session: Session, change: CalendarChange) -> None:
        if change.calendar_version is None or change.confirmed_at is None:
            raise ValueError("the change is not confirmed")
        self._session, self._change = session, change
        self._after, self._before, self._at = change.calendar_version, change.based_on, change.confirmed_at
        self._closures = json.dumps([change.declared, change.withdrawn])
        if self._after not in _spans:
            _spans.clear()
            _dates.clear()
            before, after = (queries.closures(session, number) for number in (self._before, self._after))
            _spans[self._after] = span(before, after)
        self._span = _spans[self._after]
        self._groups = Groups(session, self._after, _dates)
        self._updates: dict[Dated, list[UUID]] = {}
        self._entries: dict[tuple[Any, ...], list[UUID]] = {}
        self._events: list[tuple[contracts.Event, int]] = []

    def next(self, after: UUID | None) -> list[UUID]:
        """Up to `BATCH` requests the change may move and that it has not yet, without those filed since."""
        if self._span is None:
            return []
        query = sa.select(ServiceRequest.id).where(
            _in_span(self._span), (ServiceRequest.calendar_version < self._after) | _acted()
        )
        if after is not None:
            query = query.where(ServiceRequest.id > after)
        return list(self._session.scalars(query.order_by(ServiceRequest.id).limit(BATCH)))

    def redate(self, ids: Sequence[UUID]) -> tuple[int, int]:
        """Re-dates those of the requests that move. Returns how many were left out for being worked on, and how many moved."""
        if not ids:
            return 0, 0
        columns = [getattr(ServiceRequest, name) for name in _READ if name != "policy"]
        sealed = [sa.type_coerce(getattr(ServiceRequest, name), sa.LargeBinary).label(name) for name in _RECIPIENT]
        rows = self._session.execute(
            sa.select(*columns, *sealed, sa.cast(ServiceRequest.policy, sa.Text).label("policy_text"))
            .where(_one_of(ServiceRequest.id, ids))
            .order_by(ServiceRequest.id)
            .with_for_update(skip_locked=True)
        ).all()
        # Asked once the rows are ours: what was done to them a moment ago is in it.
        acted = set(
            self._session.scalars(
                sa.select(HistoryEntry.request_id)
                .where(_one_of(HistoryEntry.request_id, ids), HistoryEntry.kind.in_(_ONE_BY_ONE))
                .distinct()
            )
        )
        opened = [row for row in rows if row.status in clocks.OPEN]
        for row in opened:
            if row.id not in acted and row.calendar_version < self._after:
                self._redate_like_others(row)
        self._redate_acted({row.id: row for row in opened if row.id in acted})
        moved = sum(map(len, self._entries.values()))
        self._write()
        return len(ids) - len(rows), moved

    def _redate_like_others(self, row: Any) -> None:
        new = self._groups.dated(row)
        old = Dated(row.effective_receipt_date, row.due_date)
        if new.moved_from(old):
            self._updates.setdefault(new, []).append(row.id)
            self._record(row, old, new, row.version + 1)

    def _redate_acted(self, rows: dict[UUID, Any]) -> None:
        if not rows:
            return
        past = clocks.histories(self._session, rows)
        # Nothing that is encrypted is needed.
        columns = [getattr(ServiceRequest, name) for name in (*_READ, "due_soon_from", "extended_by", "on_time")]
        chosen = sa.select(ServiceRequest).options(load_only(*columns)).where(_one_of(ServiceRequest.id, list(rows)))
        for request in self._session.scalars(chosen):
            told = past[request.id]
            if any(entry.details.get("change") == str(self._change.id) for entry in told):
                continue
            received = next((entry for entry in told if entry.kind == "received"), None)
            if received is not None and (received.calendar_version or 0) >= self._after:
                continue
            # An act since the switch was counted with the new calendar already. The date before is that of the old one.
            by_old = [
                replace(entry, calendar_version=self._before) if (entry.calendar_version or 0) >= self._after else entry
                for entry in told
            ]
            told = _with_change(told, self._at, self._after)
            old = _dated(clocks.clocks(self._session, request, by_old))
            new = _dated(clocks.clocks(self._session, request, told))
            if not new.moved_from(old):
                continue
            request.calendar_version = max(request.calendar_version, self._after)
            if new.due == request.due_date:
                request.clock_version += 1  # `settle` sees to it when the due date moves
            clocks.settle(self._session, request, told, now())
            self._session.flush()
            self._record(rows[request.id], old, new, request.version)

    def _record(self, row: Any, old: Dated, new: Dated, version: int) -> None:
        act = self._act(row.received_at, old, new)
        left = (old.left, new.left) if old.left is not None or new.left is not None else None
        self._entries.setdefault((old.shown, new.shown, act, left), []).append(row.id)
        if old.due is not None and new.due is not None and new.due > old.due:
            self._events.append((self._told(row, old, new, act), version))

    def _told(self, row: Any, old: Dated, new: Dated, act: str) -> contracts.Event:
        name, email = (None if (value := getattr(row, of)) is None else bytes(value).decode() for of in _RECIPIENT)
        return contracts.RequestDueDateMoved(
            request_id=row.id,
            number=row.number,
            type_name=row.type_name,
            office=row.office,
            language=row.language,
            # Sealed already, as they lie in the table.
            recipient_name=contracts.Sealed(name) if name else None,
            recipient_email=contracts.Sealed(email) if email else None,
            moved_at=self._at,
            cause="closure",
            old_due_date=old.due,
            new_due_date=new.due,
            act=act,
        )

    def _act(self, received_at: datetime, old: Dated, new: Dated) -> str:
        """The closures of the change that lie in the span of this clock, with their acts."""
        first = received_at.astimezone(jurisdiction().zone).date()
        last = max((day for dated in (old, new) for day in (dated.due, dated.citizen) if day), default=date.max)
        return _acts_between(self._closures, first, last)

    def _write(self) -> None:
        if self._updates:
            rows = [
                {
                    "ids": ids,
                    "n_received": new.received,
                    "n_due": new.due,
                    "n_overdue_at": new.overdue_at,
                    "n_soon": new.soon,
                    "n_alarm_at": new.alarm_at,
                    "n_version": self._after,
                }
                for new, ids in self._updates.items()
            ]
            self._session.connection().execute(_MOVE, rows)
        if self._entries:
            self._session.execute(_RECORD, [self._entry(said, ids) for said, ids in self._entries.items()])
        emit_all(self._session, self._events)
        self._updates, self._entries, self._events = {}, {}, []

    def _entry(self, said: tuple[Any, ...], ids: list[UUID]) -> dict[str, Any]:
        old, new, act, left = said
        details: dict[str, Any] = {"old": _iso(old), "new": _iso(new), "act": act, "change": str(self._change.id)}
        return {
            "ids": [new_id() for _ in ids],
            "request_ids": ids,
            "at": self._at,
            "author": self._change.confirmed_by,
            "details": details | ({"days_left": list(left)} if left else {}),
            "version": self._after,
        }


_MOVE = (
    sa.update(_TABLE)
    .where(_TABLE.c.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Uuid))))
    .values(
        effective_receipt_date=sa.bindparam("n_received"),
        due_date=sa.bindparam("n_due"),
        overdue_at=sa.bindparam("n_overdue_at"),
        due_soon_from=sa.bindparam("n_soon"),
        alarm_at=sa.bindparam("n_alarm_at"),
        calendar_version=sa.bindparam("n_version"),
        clock_version=_TABLE.c.clock_version + 1,
        version=_TABLE.c.version + 1,
    )
)
"""The requests of one group, to their new date."""
_RECORD = sa.insert(HISTORY).from_select(
    ["id", "request_id", "at", "kind", "author", "details", "calendar_version"],
    sa.select(
        sa.func.unnest(sa.bindparam("ids", type_=ARRAY(sa.Uuid))),
        sa.func.unnest(sa.bindparam("request_ids", type_=ARRAY(sa.Uuid))),
        sa.bindparam("at", type_=sa.DateTime(timezone=True)),
        sa.literal("calendar_changed"),
        sa.bindparam("author", type_=sa.Text),
        sa.bindparam("details", type_=JSONB),
        sa.bindparam("version", type_=sa.Integer),
    ),
)
"""What is written down about those that move between the same two days: as `audit.service.entry`, without reason and evidence."""


def _one_of(column: Any, ids: Sequence[UUID]) -> sa.ColumnElement[bool]:
    """As an array: one statement to plan, however many they are."""
    return column == sa.any_(sa.bindparam(None, list(ids), type_=ARRAY(sa.Uuid)))  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def _acts_between(change: str, first: date, last: date) -> str:
    declared, withdrawn = json.loads(change)
    names = [
        f"{closure['name']} ({closure['act']})"
        for closure in [*declared, *withdrawn]
        if date.fromisoformat(closure["starts_on"]) <= last and date.fromisoformat(closure["ends_on"]) >= first
    ]
    return "; ".join(dict.fromkeys(names))


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
