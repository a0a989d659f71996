"""Which open requests a change of the calendar moves, and to when: first as a preview, then for good.

Requests of one type received on one day under one policy share their date until something happens to them: it is worked out once for all
of them. The others are worked out one by one, from their own history. What keeps its date but not its count, day by day, is counted anew.
A request that keeps both is not touched: its history still says with which calendar it was counted, and by that one they are the same.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
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

log = structlog.get_logger()
BATCH = 2000
"""Requests of one transaction: the desk waits for their rows no longer than that takes, a fraction of a second."""
MOST_LEFT = 1000
"""Requests that may be left for not being counted. If there are more, it is no fault of theirs: the re-dating fails until it is mended."""
EXAMPLES = 10
END = UUID(int=2**128 - 1)
"""The cursor of a change all of whose requests were looked at once."""
_ONE_BY_ONE = tuple(kind for kind in clocks.ACTS if kind not in ("acknowledged", "calendar_changed"))
"""What makes a request's clock its own."""
_TABLE: Any = sa.inspect(ServiceRequest).local_table
_RECIPIENT = ("petitioner_name", "petitioner_email", "petitioner_phone")
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
    """What a clock comes to. `citizen`: until when the citizen may complete the request. `count`: of the count day by day, as told, a hash
    that holds in this process.
    """

    received: date
    due: date | None
    overdue_at: datetime | None = None
    soon: date | None = None
    left: int | None = None
    citizen: date | None = None
    alarm_at: datetime | None = None
    count: int = 0

    def moved_from(self, other: "Dated") -> bool:
        return (self.due, self.left, self.citizen) != (other.due, other.left, other.citizen)

    def shortens(self, other: "Dated") -> bool:
        """Whether the citizen would have less time to complete than the other date, which was told, gives."""
        return self.citizen is not None and other.citizen is not None and self.citizen < other.citizen

    @property
    def shown(self) -> date | None:
        """The date people wait for: the answer's, or while that one rests, the citizen's."""
        return self.due or self.citizen


def span(before: Sequence[Closure], after: Sequence[Closure]) -> Span | None:
    """What lies between two states of the calendar; none if every clock runs alike by both, and is told alike."""
    pack = jurisdiction()
    changed: set[date] = set()
    untouched = []
    for code in [kind.code for kind in pack.request_types]:
        old, new = queries.suspended(before, code), queries.suspended(after, code)
        days = {
            day
            for day in old.keys() | new.keys()
            # A weekend does not count anyway; it need only be told anew where the act that was named is gone.
            if old.get(day) != new.get(day) and (day in old or pack.counting.weekdays[day.weekday()] == "1")
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
    """Dates of requests nothing has happened to, by a version of the calendar. `known` are those worked out before."""

    def __init__(self, session: Session, version: int, known: dict[Any, Dated] | None = None) -> None:
        self._session, self._version = session, version
        self._known = {} if known is None else known
        self._zone = jurisdiction().zone

    def dated(self, row: Any, version: int | None = None) -> Dated:
        """`row` has the columns of `_SHARED`, `received_at`, `acknowledged_at` and the policy's text as `policy_text`."""
        version = version or self._version
        policy, cutoff = _policy(row.policy_text)
        local = row.received_at.astimezone(self._zone)
        key = (
            *(getattr(row, name) for name in _SHARED),
            *(version, row.policy_text, local.date(), local.time() >= cutoff, row.acknowledged_at is None),
        )
        if key not in self._known:
            one: Any = SimpleNamespace(
                **{name: getattr(row, name) for name in _SHARED},
                received_at=row.received_at,
                policy=policy,
                calendar_version=version,
                first_due_date=None,
            )
            told = [clocks.History(row.received_at, "received", {}, version)]
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
        hash(tuple(answer.days())),
    )


def _with_change(told: Iterable[clocks.History], at: datetime, version: int) -> list[clocks.History]:
    return sorted([*told, clocks.History(at, "calendar_changed", {}, version)], key=lambda entry: entry.at)


# The preview


class _Tally:
    """Counts what moves, without keeping it."""

    def __init__(self) -> None:
        self.looked_at = self.moved = self.later = self.earlier = self.overdue_at_once = self.no_longer_overdue = 0
        self.recounted = self.kept = self.not_counted = 0
        self.by_days: Counter[int] = Counter()
        self.by_type: Counter[str] = Counter()
        self.by_office: Counter[str] = Counter()
        self.examples: list[dict[str, Any]] = []
        self._shown: Counter[tuple[str, int]] = Counter()
        self._now = now()

    def take(self, row: Any, work_out: Callable[[bool], Dated], amount: int = 1) -> None:
        """`work_out`: the dates by the calendar in force (false) or by the new one."""
        self.looked_at += amount
        try:
            self._take(row, work_out, amount)
        except sa.exc.SQLAlchemyError:
            raise
        except Exception:
            # One that cannot be counted must not keep a closure from being declared.
            log.exception("request_not_counted", number=row.number)
            self.not_counted += amount

    def _take(self, row: Any, work_out: Callable[[bool], Dated], amount: int) -> None:
        new = work_out(True)
        old = Dated(row.effective_receipt_date, row.due_date, row.overdue_at, None, row.days_left, row.citizen_due_date)
        if new.shortens(old):
            self.kept += amount
            return
        if not new.moved_from(old):
            self.recounted += amount if new.count != work_out(False).count else 0
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
        names = (
            *("looked_at", "moved", "later", "earlier", "recounted", "kept", "not_counted"),
            *("overdue_at_once", "no_longer_overdue", "examples"),
        )
        return {name: getattr(self, name) for name in names} | {
            "by_days": {str(days): self.by_days[days] for days in sorted(self.by_days)},
            "by_type": dict(self.by_type.most_common()),
            "by_office": dict(self.by_office.most_common()),
        }


def preview(session: Session, in_force: int, after: Sequence[Closure], changed: Span | None) -> dict[str, Any]:
    """How many open requests would move and by how much, if these closures took the place of those in force."""
    tally = _Tally()
    if changed is not None:
        session.execute(sa.text("set local statement_timeout = '60s'"))
        with queries.trial(after) as version:
            groups = Groups(session, version)
            for row in session.execute(_grouped(changed), execution_options={"yield_per": 500}):
                tally.take(row, lambda new, of=row: groups.dated(of, version if new else in_force), row.amount)  # type: ignore[misc]
            for batch in _one_by_one(session, changed):
                past = clocks.histories(session, [request.id for request in batch])
                for request in batch:
                    told = past[request.id]
                    both = told, _with_change(told, now(), version)
                    tally.take(request, lambda new, of=request, by=both: _dated(clocks.clocks(session, of, by[new])))  # type: ignore[misc]
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
    busy: int = 0


@dataclass
class _Outcome:
    """What became of a batch. `busy`: those somebody was working on; `failed`: those that could not be counted."""

    moved: int = 0
    busy: set[UUID] = field(default_factory=set)
    failed: set[UUID] = field(default_factory=set)


def redate_some(session: Session, search: Search) -> bool:
    """Re-dates the next batch of the confirmed change that is running. Returns whether there is more to do now.

    Rows somebody is working on are left out. So at the end all are looked through again, and again in later runs, until none was. Several
    workers share the work; none waits for another, and what one did before it was killed stays done.

    A request that cannot be counted stays as it is and holds up no other: the change names it, and in the end is `incomplete`.
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
        _redate(change, batch, ids)
        change.seen += len(ids)
        change.cursor = ids[-1] if len(ids) == BATCH else END
        return True
    if search.change != change.id:
        search.change, search.last, search.busy = change.id, None, 0
    ids = batch.next(search.last)
    search.busy += len(_redate(change, batch, ids).busy)
    if len(ids) == BATCH:
        search.last = ids[-1]
        return True
    if not search.busy:
        _end(change)
    return False


def redate_left(session: Session) -> None:
    """Tries again what could not be counted when a change was carried out: the fault may have been mended."""
    incomplete = sa.select(CalendarChange).where(CalendarChange.status == "incomplete")
    for change in session.scalars(
        incomplete.order_by(CalendarChange.calendar_version).with_for_update(skip_locked=True)
    ):
        _redate(change, _Batch(session, change), [UUID(id_) for id_ in left(change)])
        _end(change)


def left(change: CalendarChange) -> list[str]:
    """The requests that could not be counted. Kept with the preview, as what came of it."""
    return list(change.preview.get("left", []))


def _redate(change: CalendarChange, batch: "_Batch", ids: Sequence[UUID]) -> _Outcome:
    outcome = batch.redate(ids)
    change.moved += outcome.moved
    done = {str(id_) for id_ in ids} - {str(id_) for id_ in outcome.busy}
    now_left = sorted({*left(change)} - done | {str(id_) for id_ in outcome.failed})
    if len(now_left) > MOST_LEFT:
        raise RuntimeError("too many requests cannot be counted")
    if now_left != left(change):
        change.preview = change.preview | {"left": now_left}
    return outcome


def _end(change: CalendarChange) -> None:
    change.status = "incomplete" if left(change) else "done"
    if change.status == "done":
        change.done_at = now()


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
        self._forget()

    def _forget(self) -> None:
        self._moves: dict[Dated, list[UUID]] = {}
        self._recounts: dict[Dated, list[UUID]] = {}
        self._entries: dict[tuple[Any, ...], list[UUID]] = {}
        self._later: list[tuple[Any, Dated, Dated, str, int]] = []
        self._citizens: dict[UUID, tuple[Any, Dated, int]] = {}
        self._moved = 0

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

    def redate(self, ids: Sequence[UUID]) -> _Outcome:
        """Re-dates those of the requests that move. If something fails, each half on its own, down to the one with which it does."""
        if not ids:
            return _Outcome()
        try:
            with self._session.begin_nested():
                return self._redate(ids)
        except (sa.exc.OperationalError, sa.exc.InterfaceError):
            raise  # the database's, and of no request
        except Exception:
            if len(ids) == 1:
                log.exception("request_not_redated", request_id=str(ids[0]), change=str(self._change.id))
                return _Outcome(failed=set(ids))
        half = len(ids) // 2
        one, other = self.redate(ids[:half]), self.redate(ids[half:])
        return _Outcome(one.moved + other.moved, one.busy | other.busy, one.failed | other.failed)

    def _redate(self, ids: Sequence[UUID]) -> _Outcome:
        self._forget()
        columns = [getattr(ServiceRequest, name) for name in _READ if name != "policy"]
        rows = self._session.execute(
            sa.select(*columns, *_SEALED, sa.cast(ServiceRequest.policy, sa.Text).label("policy_text"))
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
        self._write()
        return _Outcome(self._moved, busy=set(ids) - {row.id for row in rows})

    def _redate_like_others(self, row: Any) -> None:
        new = self._groups.dated(row)
        old = Dated(row.effective_receipt_date, row.due_date)
        if new.moved_from(old):
            self._moves.setdefault(new, []).append(row.id)
            self._record_move(row, old, new, row.version + 1)
        elif new.count != self._groups.dated(row, row.calendar_version).count:
            self._recounts.setdefault(new, []).append(row.id)
            self._record(row, old, new)

    def _redate_acted(self, rows: dict[UUID, Any]) -> None:
        if not rows:
            return
        past = clocks.histories(self._session, rows)
        # Nothing that is encrypted is needed.
        columns = [getattr(ServiceRequest, name) for name in (*_READ, "due_soon_from", "extended_by", "on_time")]
        chosen = sa.select(ServiceRequest).options(load_only(*columns)).where(_one_of(ServiceRequest.id, list(rows)))
        for request in self._session.scalars(chosen):
            told = past[request.id]
            if any(entry.kind == "calendar_changed" and (entry.calendar_version or 0) >= self._after for entry in told):
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
            moved = new.moved_from(old)
            # A date to complete by that a citizen was told is not brought forward: the clock rests by the calendar it was told by, and
            # goes on by the one in force then.
            if new.shortens(old) or not (moved or new.count != old.count):
                continue
            request.calendar_version = max(request.calendar_version, self._after)
            if moved and new.due == request.due_date:
                request.clock_version += 1  # `settle` sees to it when the due date moves
            clocks.settle(self._session, request, told, now())
            self._session.flush()
            if moved:
                self._record_move(rows[request.id], old, new, request.version)
            else:
                self._record(rows[request.id], old, new)

    def _record_move(self, row: Any, old: Dated, new: Dated, version: int) -> None:
        left = (old.left, new.left) if old.left is not None or new.left is not None else None
        act = self._record(row, old, new, left)
        self._moved += 1
        if old.due is not None and new.due is not None and new.due > old.due:
            self._later.append((row, old, new, act, version))
        elif old.citizen is not None and new.citizen is not None and new.citizen > old.citizen:
            self._citizens[row.id] = row, new, version

    def _record(self, row: Any, old: Dated, new: Dated, left: tuple[int | None, int | None] | None = None) -> str:
        """Returns the acts that are named."""
        act = self._act(row, old, new)
        self._entries.setdefault((old.shown, new.shown, act, left), []).append(row.id)
        return act

    def _events(self) -> Iterator[tuple[contracts.Event, int]]:
        """What citizens are told: that the answer comes later, also those it answers as well; or that they have longer to complete."""
        for row, old, new, act, version in self._later:
            yield self._moved_later(row, old, new, act), version
        if self._later:
            moved = {row.id: (old, new, act) for row, old, new, act, _ in self._later}
            for each in self._session.execute(_merged_into(list(moved))):
                yield self._moved_later(each, *moved[each.survivor]), each.version
        if self._citizens:
            complete = jurisdiction().procedure.complete
            last = {asked.request_id: asked for asked in self._session.execute(_asked(list(self._citizens)))}
            for asked in last.values():
                row, new, version = self._citizens[asked.request_id]
                event = contracts.RequestCompletionAsked(
                    **_told(row),
                    asked_at=asked.at,
                    what=contracts.Sealed(bytes(asked.reason).decode()),
                    complete_until=new.citizen,
                    days_left=new.left,
                    may_be_extended=complete is not None and complete.extension_max_added is not None,
                )
                yield event, version

    def _moved_later(self, row: Any, old: Dated, new: Dated, act: str) -> contracts.Event:
        moved = {"old_due_date": old.due, "new_due_date": new.due, "act": act}
        return contracts.RequestDueDateMoved(**_told(row), moved_at=self._at, cause="closure", **moved)

    def _act(self, row: Any, old: Dated, new: Dated) -> str:
        """The closures of the change that count for this type and lie in the span of this clock, with their acts."""
        first = row.received_at.astimezone(jurisdiction().zone).date()
        last = max((day for dated in (old, new) for day in (dated.due, dated.citizen) if day), default=date.max)
        return _acts_between(self._closures, row.request_type, first, last)

    def _write(self) -> None:
        for statement, groups in ((_MOVE, self._moves), (_RECOUNT, self._recounts)):
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
                for new, ids in groups.items()
            ]
            if rows:
                self._session.connection().execute(statement, rows)
        if self._entries:
            self._session.execute(_RECORD, [self._entry(said, ids) for said, ids in self._entries.items()])
        emit_all(self._session, self._events())

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


_RECOUNT = (
    sa.update(_TABLE)
    .where(_TABLE.c.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Uuid))))
    .values(
        effective_receipt_date=sa.bindparam("n_received"),
        due_date=sa.bindparam("n_due"),
        overdue_at=sa.bindparam("n_overdue_at"),
        due_soon_from=sa.bindparam("n_soon"),
        alarm_at=sa.bindparam("n_alarm_at"),
        calendar_version=sa.bindparam("n_version"),
        version=_TABLE.c.version + 1,
    )
)
"""The requests of one group, to what the new calendar makes of them."""
_MOVE = _RECOUNT.values(clock_version=_TABLE.c.clock_version + 1)
"""The same, to another date: its thresholds are announced anew."""
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
_SEALED = [sa.type_coerce(getattr(ServiceRequest, name), sa.LargeBinary).label(name) for name in _RECIPIENT]
"""Who is told, as it lies in the table."""


def _told(row: Any) -> dict[str, Any]:
    """What every event has that a citizen is told of."""
    sealed = {
        of.replace("petitioner", "recipient"): None if (value := getattr(row, of)) is None else bytes(value).decode()
        for of in _RECIPIENT
    }
    return {
        "request_id": row.id,
        "number": row.number,
        "type_name": row.type_name,
        "office": row.office,
        "language": row.language,
        **sealed,
    }


def _merged_into(ids: Sequence[UUID]) -> sa.Select[Any]:
    """The requests that these answer, directly or through others; `survivor` is the one that does."""
    into = ServiceRequest.merged_into_id
    found = sa.select(ServiceRequest.id, into.label("survivor")).where(into.is_not(None), _one_of(into, ids))
    direct = found.cte("merged", recursive=True)
    further = sa.select(ServiceRequest.id, direct.c.survivor).where(into.is_not(None), into == direct.c.id)
    every = direct.union_all(further)
    columns = [getattr(ServiceRequest, name) for name in ("id", "number", "type_name", "office", "language", "version")]
    return sa.select(*columns, *_SEALED, every.c.survivor).where(ServiceRequest.id == every.c.id)


def _asked(ids: Sequence[UUID]) -> sa.Select[Any, Any, Any]:
    """What was asked of the citizens of these requests, the last at the end, as it lies in the table."""
    sealed = sa.type_coerce(HistoryEntry.reason, sa.LargeBinary).label("reason")
    return (
        sa.select(HistoryEntry.request_id, HistoryEntry.at, sealed)
        .where(_one_of(HistoryEntry.request_id, ids), HistoryEntry.kind == "asked_to_complete")
        .where(HistoryEntry.reason.is_not(None))
        .order_by(HistoryEntry.at, HistoryEntry.id)
    )


def _one_of(column: Any, ids: Sequence[UUID]) -> sa.ColumnElement[bool]:
    """As an array: one statement to plan, however many they are."""
    return column == sa.any_(sa.bindparam(None, list(ids), type_=ARRAY(sa.Uuid)))  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def _acts_between(change: str, type_code: str, first: date, last: date) -> str:
    declared, withdrawn = json.loads(change)
    names = [
        f"{closure['name']} ({closure['act']})"
        for closure in [*declared, *withdrawn]
        if date.fromisoformat(closure["starts_on"]) <= last
        and date.fromisoformat(closure["ends_on"]) >= first
        and closure["suspends_terms"]
        and type_code not in closure["except_types"]
    ]
    return "; ".join(dict.fromkeys(names))


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
