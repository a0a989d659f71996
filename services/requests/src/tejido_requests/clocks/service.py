"""From a request's history to its clocks, and from its clocks to what is announced when.

Nothing here counts days: `tejido_shared.deadlines` does. A clock is never stored while it runs, but derived from what happened; the
request's row keeps what lists and the sweep need, and `settle` writes it. When a clock stops, its outcome is kept for good.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_requests.audit.service import entry, record_all
from tejido_requests.calendars import queries as calendars
from tejido_requests.models import Announcement, DeskOfficer, HistoryEntry, ServiceRequest, StoppedClock
from tejido_requests.settings import jurisdiction
from tejido_shared import contracts, deadlines
from tejido_shared.deadlines import Act, Calendar, Closed, Deadline, Policy
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import ProcedureTerm, Term
from tejido_shared.outbox import emit_all
from tejido_shared.personal import seal

SWEEP_BATCH = 500
OPEN = ("received", "paused", "answered")
ENDS = ("withdrawn", "split", "merged")
"""What ends a request without an answer: its clocks end without an outcome."""
ACTS = (
    *("asked_to_complete", "completed", "completion_withdrawn", "extended", "retyped", "transferred", "notified"),
    *(
        "calendar_changed",
        "completion_extended",
        "acknowledged",
        "draft_submitted",
        "draft_approved",
        "answered",
        *ENDS,
    ),
)
"""The kinds of history that move a clock."""


@dataclass(frozen=True)
class History:
    """One entry, as far as clocks need it."""

    at: datetime
    kind: str
    details: dict[str, Any]
    calendar_version: int | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True)
class Clock:
    """One clock of a request: the legal answer's, or one that runs inside it.

    `status`: running, paused, stopped (its duty was done, `on_time` or not), void (nothing came of it). `office`: the days somebody is
    there to be told.
    """

    kind: str
    started_at: datetime
    deadline: Deadline
    article: str | None
    legal: bool
    office: Calendar
    status: str = "running"
    stopped_at: datetime | None = None
    on_time: bool | None = None


def policy() -> Policy:
    """How this municipality counts, for the pure core."""
    pack = jurisdiction()
    ask, complete, transfer = pack.procedure.ask_for_completion, pack.procedure.complete, pack.procedure.transfer
    return Policy(
        pack.counting.receipt_rule,
        pack.counting.cutoff,
        pack.counting.overdue,
        pack.counting.office_close,
        ask.n if ask else None,
        complete.n if complete and complete.unit == "months" else None,
        transfer.n if transfer else None,
    )


def term_of(request: ServiceRequest | sa.Row[Any]) -> deadlines.Term | None:
    """The stored term, none when the asking authority set the date."""
    if request.term_unit is None:
        return None
    unit: Any = request.term_unit
    return deadlines.Term(unit, request.term_n or 0, request.term_copies_within, request.term_extension_max)


def core_term(term: Term) -> deadlines.Term:
    """A term of the pack as the pure core takes it."""
    copies = term.after_due.n if term.after_due and term.after_due.unit == "business_days" else None
    return deadlines.Term(term.unit, term.n, copies, term.extension_max_added)


def history_from(entries: Iterable[dict[str, Any]]) -> list[History]:
    """From entries as `audit.queries` gives them."""
    return [
        History(entry["at"], entry["kind"], entry["details"], entry.get("calendar_version"))
        for entry in entries
        if entry["kind"] in ACTS or entry["kind"] == "received"
    ]


def histories(session: Session, ids: Iterable[UUID]) -> dict[UUID, list[History]]:
    """What moved the clocks of these requests, each in the order it took effect."""
    wanted = list(ids)
    found: dict[UUID, list[History]] = {request_id: [] for request_id in wanted}
    rows = session.execute(
        sa.select(
            HistoryEntry.request_id,
            HistoryEntry.at,
            HistoryEntry.kind,
            HistoryEntry.details,
            HistoryEntry.calendar_version,
            HistoryEntry.recorded_at,
        )
        .where(HistoryEntry.request_id.in_(wanted), HistoryEntry.kind.in_((*ACTS, "received")))
        .order_by(HistoryEntry.at, HistoryEntry.id)
    )
    for row in rows:
        found[row.request_id].append(History(*row[1:]))
    return found


def answer_deadline(
    session: Session | sa.Connection, request: ServiceRequest | sa.Row[Any], history: Sequence[History]
) -> Deadline:
    """The legal clock of a request: the pure function of its receipt, the term and calendar it began with, and what happened since."""
    received = next((told for told in history if told.kind == "received"), None)
    version = (received and received.calendar_version) or (request.calendar_version if received is None else 1)
    retyped = next((told for told in history if told.kind == "retyped"), None)
    type_code = retyped.details["from"] if retyped else request.request_type
    calendar = calendars.calendar(session, version, type_code)
    acts = _acts(session, history, version, type_code)
    pack = jurisdiction()
    term = term_of(request)
    if term is None:
        if request.first_due_date is None:
            raise LookupError("no due date was set")
        return deadlines.set_deadline(
            request.received_at, request.first_due_date, calendar, pack.zone, _stored_policy(request), acts
        )
    if retyped is not None:
        term = deadlines.Term(**retyped.details["term_before"])
    return deadlines.deadline(request.received_at, term, calendar, pack.zone, _stored_policy(request), acts)


def _stored_policy(request: ServiceRequest | sa.Row[Any]) -> Policy:
    """The reading of the law the request was received under, whatever the pack says today."""
    stored = request.policy
    return replace(
        policy(),
        receipt_rule=stored["receipt_rule"],
        cutoff=time.fromisoformat(stored["cutoff"]),
        overdue=stored["overdue"],
        office_close=time.fromisoformat(stored["office_close"]),
    )


def _acts(session: Session | sa.Connection, history: Sequence[History], version: int, type_code: str) -> list[Act]:
    """History as the pure core takes it, each entry with the calendar in force when it was recorded.

    A calendar once in force is not forgotten because of an act that took effect later but was recorded before.
    """
    acts: list[Act] = []
    for told in history:
        if told.kind == "received":
            continue
        at, details = told.at, told.details
        if told.kind == "retyped":
            type_code = details["to"]
        if told.calendar_version is not None:
            version = max(version, told.calendar_version)
            acts.append(deadlines.CalendarChanged(at, calendars.calendar(session, version, type_code)))
        match told.kind:
            case "asked_to_complete":
                acts.append(deadlines.Pause(at))
            case "completed" | "completion_withdrawn":
                acts.append(deadlines.Resume(at))
            case "extended":
                acts.append(deadlines.Extend(at, details["added"]))
            case "retyped":
                term = deadlines.Term(**details["term"])
                acts.append(deadlines.Retype(at, term, details.get("by_supervisor", False)))
            case "transferred":
                received = details.get("receiver_received_at")
                acts.append(deadlines.Transfer(at, False, datetime.fromisoformat(received) if received else None))
            case "notified" | "withdrawn" | "split" | "merged":
                acts.append(deadlines.Stop(at))
    return acts


_offices: dict[int, Calendar] = calendars.memory()


def office_days(session: Session | sa.Connection, version: int) -> Calendar:
    """The days the offices work. A closure that suspends no term closes them all the same."""
    if version not in _offices:
        closed = calendars.closures(session, version)
        days = {day: Closed(closure.name, closure.act) for closure in closed for day in closure.days()}
        if len(_offices) > 8:  # the versions tried out in previews are many, each soon forgotten
            _offices.clear()
        _offices[version] = Calendar(jurisdiction().counting.weekdays, days)
    return _offices[version]


def clocks(session: Session, request: ServiceRequest | sa.Row[Any], history: Sequence[History]) -> list[Clock]:
    """Every clock of a request, the legal one first. Derived; nothing is written."""
    pack = jurisdiction()
    answer = answer_deadline(session, request, history)
    calendar, office = answer.calendar, office_days(session, request.calendar_version)
    procedure, received_at = pack.procedure, request.received_at
    # A partial answer is no answer: drafting one meets no target.
    final = [told for told in history if told.details.get("kind") != "partial"]
    first = {kind: next((told for told in final if told.kind == kind), None) for kind in ACTS}
    ended = next((told for told in history if told.kind in (*ENDS, "transferred", "notified")), None)
    void = ended is not None and ended.kind in ENDS
    found = [
        Clock(
            "answer",
            received_at,
            answer,
            request.term_article,
            request.term_kind != "service_commitment",
            office,
            "void" if void else "stopped" if answer.stopped_at else "paused" if answer.paused else "running",
            answer.stopped_at,
            None if void else answer.on_time,
        )
    ]

    def add(kind: str, started_at: datetime, term: ProcedureTerm | None, done: History | None) -> None:
        if term is None:
            return
        counted = deadlines.deadline(
            started_at, deadlines.Term(term.unit, term.n), calendar, pack.zone, _stored_policy(request)
        )
        clock = Clock(kind, started_at, counted, term.article, term.kind == "legal", office)
        end = ended if ended is not None and ended.at >= started_at and kind != "appeal" else None
        if done is not None and (end is None or done.at <= end.at):
            on_time = counted.overdue_at is not None and done.at < counted.overdue_at
            clock = replace(clock, status="stopped", stopped_at=done.at, on_time=on_time)
        elif end is not None:
            clock = replace(clock, status="void", stopped_at=end.at)
        found.append(clock)

    acknowledged = first["acknowledged"] or next(
        (
            History(datetime.fromisoformat(told.details["acknowledged_at"]), "acknowledged", {})
            for told in history
            if told.kind == "received" and "acknowledged_at" in told.details
        ),
        None,
    )
    add("acknowledgement", received_at, procedure.acknowledge, acknowledged)
    add("completion_window", received_at, procedure.ask_for_completion, first["asked_to_complete"])
    asks = [place for place, told in enumerate(history) if told.kind == "asked_to_complete"]
    for place, until in pairwise([*asks, len(history)]):
        # By their order and not by the hour: what was asked, completed and asked again may bear one instant.
        asked, since = history[place], history[place + 1 : until]
        extended = any(told.kind == "completion_extended" for told in since)
        term = procedure.complete
        if term is not None and extended:
            # Counted anew from the request to complete, never chained: twice one month is not one month twice.
            term = term.model_copy(update={"n": term.n + (term.extension_max_added or 0)})
        done = next((told for told in since if told.kind in ("completed", "completion_withdrawn")), None)
        add("citizen_completion", asked.at, term, done)
    if first["transferred"] is not None:
        add("transfer", received_at, procedure.transfer, first["transferred"])
    if answer.due_date is not None and answer.term is not None:
        for kind, days, act in (
            ("draft", procedure.targets.draft_before_due, "draft_submitted"),
            ("approval", procedure.targets.approve_before_due, "draft_approved"),
        ):
            if days is not None:
                # What is issued needs no more drafting, whoever wrote it.
                done = first[act] or first["answered"]
                found.append(_target(kind, days, request, answer, office, done, ended))
    if answer.deliver_copies_by is not None and answer.due_date is not None:
        # Copies are owed once the answer is late; then they come with it.
        copies = _until(answer, answer.deliver_copies_by)
        clock = Clock("copies", received_at, copies, request.term_article, True, office)
        if ended is not None:
            clock = replace(clock, status="void", stopped_at=ended.at)
            if ended.kind == "notified" and answer.on_time is False and copies.overdue_at is not None:
                clock = replace(clock, status="stopped", on_time=ended.at < copies.overdue_at)
        found.append(clock)
    if ended is not None and ended.kind == "notified":
        add("appeal", ended.at, procedure.appeal, None)
    return found


def _target(
    kind: str,
    days: int,
    request: ServiceRequest | sa.Row[Any],
    answer: Deadline,
    office: Calendar,
    done: History | None,
    ended: History | None,
) -> Clock:
    """An internal target: so many open days before the answer is due, but never before the first day after receipt."""
    due = answer.due_date or answer.effective_receipt_date
    day = max(
        answer.calendar.open_before(answer.calendar.open_from(due), days) if days else due,
        answer.calendar.open_after(answer.effective_receipt_date, 1),
    )
    target = _until(answer, min(day, due))
    if done is not None:
        on_time = target.overdue_at is not None and done.at < target.overdue_at
        return Clock(kind, request.received_at, target, None, False, office, "stopped", done.at, on_time)
    status = "void" if ended else "running"
    return Clock(kind, request.received_at, target, None, False, office, status, ended.at if ended else None)


def _until(answer: Deadline, day: date) -> Deadline:
    """A date set beside the legal count."""
    pack = jurisdiction()
    local = datetime.combine(answer.effective_receipt_date, time(), pack.zone)
    return deadlines.set_deadline(local, day, answer.calendar, pack.zone, Policy())


# What is announced when


@dataclass(frozen=True)
class Threshold:
    """An instant of a clock at which somebody is told, or the state changes (`overdue`, nobody in `to`)."""

    clock: str
    name: str
    at: datetime
    due_date: date
    to: tuple[str, ...] = ()


def thresholds(found: Sequence[Clock]) -> list[Threshold]:
    """Every threshold of the running clocks, in order. Reminders fall into the offices' hours."""
    out = []
    for clock in found:
        if clock.status != "running" or clock.deadline.overdue_at is None or clock.deadline.due_date is None:
            continue
        if clock.kind in ("answer", "citizen_completion"):
            out.append(Threshold(clock.kind, "overdue", clock.deadline.overdue_at, clock.deadline.due_date))
        for reminder in jurisdiction().reminders:
            if reminder.clock == clock.kind:
                day = _day_of(reminder.days, clock)
                if day is not None:
                    name = reminder.days if isinstance(reminder.days, str) else f"{reminder.days:+d}"
                    out.append(
                        Threshold(
                            clock.kind,
                            name,
                            office_opens(clock.office, day),
                            clock.deadline.due_date,
                            tuple(reminder.to),
                        )
                    )
    return sorted(out, key=lambda threshold: threshold.at)


def _day_of(days: int | str, clock: Clock) -> date | None:
    """The day of a reminder, on which the offices work: before or on the due date never later than that, after it never earlier."""
    due, calendar = clock.deadline.due_date, clock.deadline.calendar
    if due is None:
        return None
    if isinstance(days, str):
        soon = clock.deadline.due_soon_from
        return soon and _last_open(clock.office, soon)
    if days > 0:
        return clock.office.open_from(calendar.open_after(due, days))
    last = _last_open(calendar, due)
    return _last_open(clock.office, calendar.open_before(last, -days) if days else last)


def _last_open(calendar: Calendar, day: date) -> date:
    """`day` if it is open, else the open day before it."""
    return day if calendar.is_open(day) else calendar.open_before(calendar.open_from(day), 1)


def office_opens(calendar: Calendar, day: date) -> datetime:
    """When the offices open on that day, or on the next open one."""
    pack = jurisdiction()
    return datetime.combine(calendar.open_from(day), pack.procedure.office_hours.opens, pack.zone)


def in_office_hours(calendar: Calendar, instant: datetime) -> datetime:
    """The instant itself if the offices are open then, else when they next open."""
    pack = jurisdiction()
    local = instant.astimezone(pack.zone)
    hours = pack.procedure.office_hours
    if calendar.is_open(local.date()) and hours.opens <= local.time() < hours.closes:
        return instant
    day = local.date() if local.time() < hours.opens else local.date() + timedelta(days=1)
    return office_opens(calendar, day)


_quiet: dict[tuple[Any, ...], list[Threshold]] = calendars.memory()


def _thresholds_of_quiet(
    session: Session, request: ServiceRequest | sa.Row[Any], history: Sequence[History]
) -> list[Threshold]:
    """The thresholds of a request to which nothing has happened. Those of one type and day share them: worked out once."""
    key = (
        *(request.calendar_version, request.request_type, request.terms_version, request.term_unit, request.term_n),
        *(request.term_copies_within, request.term_extension_max, request.effective_receipt_date),
        *(request.received_at.astimezone(jurisdiction().zone).date(), request.first_due_date),
        *(request.acknowledged_at is None, *sorted(request.policy.items())),
    )
    if key not in _quiet:
        if len(_quiet) > 5000:
            _quiet.clear()
        _quiet[key] = thresholds(clocks(session, request, history))
    return _quiet[key]


def first_alarm(session: Session, request: ServiceRequest, history: Sequence[History]) -> datetime | None:
    """The first threshold of a request just filed."""
    return next((threshold.at for threshold in _thresholds_of_quiet(session, request, history)), None)


def settle(session: Session, request: ServiceRequest, history: Sequence[History], instant: datetime) -> list[Clock]:
    """Writes on the request's row what its clocks now are, and keeps the outcome of those that have stopped. Returns the clocks.

    `clock_version` grows when the due date moves, or the citizen's, so that the thresholds of a new date are announced anew.
    """
    found = clocks(session, request, history)
    answer = found[0].deadline
    citizen = next((clock for clock in reversed(found) if clock.kind == "citizen_completion"), None)
    until = citizen.deadline.due_date if citizen is not None and citizen.status == "running" else None
    given_more_time = until != request.citizen_due_date and any(told.kind == "completion_extended" for told in history)
    if answer.due_date != request.due_date or given_more_time:
        request.clock_version += 1
    request.effective_receipt_date = answer.effective_receipt_date
    request.due_date, request.overdue_at = answer.due_date, answer.overdue_at
    request.due_soon_from = answer.due_soon_from
    request.days_left = answer.days_left
    request.extended_by = answer.added or None
    request.on_time = found[0].on_time
    request.citizen_due_date = until
    request.alarm_at = _next_alarm(session, request, found, instant)
    _keep_outcomes(session, request, found)
    return found


def _next_alarm(
    session: Session, request: ServiceRequest, found: Sequence[Clock], instant: datetime
) -> datetime | None:
    """The first threshold that is not announced yet, be it past or to come."""
    ahead = thresholds(found)
    if not ahead:
        return None
    if ahead[0].at > instant:
        return ahead[0].at
    told = announced(session, [request.id])
    return next((t.at for t in ahead if announced_as(request, t) not in told), None)


_OF_THE_RECEIPT = ("acknowledgement", "completion_window", "transfer")
"""Clocks that run from the receipt whatever becomes of the answer's date: they have one version."""


def announced_as(request: ServiceRequest | sa.Row[Any], threshold: Threshold) -> tuple[UUID, str, str, int]:
    """What is announced once. A pause or an extension is no new reason to remind of what did not move."""
    version = 1 if threshold.clock in _OF_THE_RECEIPT else request.clock_version
    return request.id, threshold.clock, threshold.name, version


def announced(session: Session, ids: Sequence[UUID]) -> set[tuple[UUID, str, str, int]]:
    columns = Announcement.request_id, Announcement.clock, Announcement.threshold, Announcement.clock_version
    return {tuple(row) for row in session.execute(sa.select(*columns).where(Announcement.request_id.in_(ids)))}  # type: ignore[misc]


_OUTCOMES = {True: "on_time", False: "late", None: "void"}
_ON_TIME = {outcome: on_time for on_time, outcome in _OUTCOMES.items()}


def as_kept(session: Session, request_id: UUID, found: Sequence[Clock]) -> list[Clock]:
    """These clocks, those that have stopped with the date and the outcome that were kept then.

    Worked out anew, a draft that was late would be on time once the term was extended, or a closure declared.
    """
    kept = {
        (row.clock, row.started_at): row
        for row in session.scalars(sa.select(StoppedClock).where(StoppedClock.request_id == request_id))
    }
    return [
        replace(
            clock,
            deadline=clock.deadline._replace(due_date=row.due_date, overdue_at=row.overdue_at),
            status="void" if row.outcome == "void" else "stopped",
            stopped_at=row.stopped_at,
            on_time=_ON_TIME[row.outcome],
        )
        if (row := kept.get((clock.kind, clock.started_at))) is not None
        else clock
        for clock in found
    ]


def _keep_outcomes(session: Session, request: ServiceRequest, found: Sequence[Clock]) -> None:
    rows = [
        {
            "id": new_id(),
            "request_id": request.id,
            "clock": clock.kind,
            "started_at": clock.started_at,
            "stopped_at": clock.stopped_at,
            "due_date": clock.deadline.due_date,
            "overdue_at": clock.deadline.overdue_at,
            "outcome": _OUTCOMES[clock.on_time],
            "terms_version": request.terms_version,
            "calendar_version": request.calendar_version,
        }
        for clock in found
        if clock.stopped_at is not None
    ]
    if rows:
        # What was kept first stays: an outcome is never rewritten.
        session.execute(insert(StoppedClock).on_conflict_do_nothing(), rows)


_SWEPT = (
    *("id", "version", "number", "request_type", "type_name", "office", "assignee", "received_at", "status"),
    *("term_unit", "term_n", "term_article", "term_kind", "term_extension_max", "term_copies_within", "terms_version"),
    *("calendar_version", "policy", "effective_receipt_date", "due_date", "first_due_date", "clock_version"),
    *("acknowledged_at", "overdue_announced_at"),
)
_DUE = (
    sa.select(*(getattr(ServiceRequest, name) for name in _SWEPT))
    .where(ServiceRequest.alarm_at <= sa.bindparam("instant"))
    .order_by(ServiceRequest.alarm_at)
    .limit(SWEEP_BATCH)
    .with_for_update(skip_locked=True)
)
_ON = sa.text(
    "update service_request r set alarm_at = new.alarm_at, version = r.version + 1,"
    " overdue_announced_at = coalesce(new.overdue_at, r.overdue_announced_at)"
    " from unnest(cast(:ids as uuid[]), cast(:alarms as timestamptz[]), cast(:overdue as timestamptz[]))"
    " as new(id, alarm_at, overdue_at) where r.id = new.id"
)


def announce(session: Session, instant: datetime) -> int:
    """Announces what has come due of up to `SWEEP_BATCH` requests, each threshold once. Returns how many requests; call again until it
    is fewer.

    Its cost follows what is due, not what is open: a partial index holds the alarms. Several sweeps at once share the work.
    """
    version = session.execute(calendars.IN_FORCE).scalar_one()  # before the rows, as whoever writes them does
    requests = session.execute(_DUE, {"instant": instant}).all()
    if not requests:
        return 0
    ids = [request.id for request in requests]
    opens = in_office_hours(office_days(session, version), instant)
    told, past = announced(session, ids), histories(session, ids)
    rows: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    events: list[tuple[contracts.Event, int]] = []
    next_alarms, overdue = [], []
    for request in requests:
        ahead = _ahead(session, request, past[request.id])
        new = [t for t in ahead if t.at <= instant and announced_as(request, t) not in told]
        reminders = _of_use(new, past[request.id])
        for threshold in new:
            tell = not threshold.to or threshold in reminders
            key = dict(
                zip(
                    ("request_id", "clock", "threshold", "clock_version"), announced_as(request, threshold), strict=True
                )
            )
            rows.append(key | {"at": instant, "told": tell})
            if tell:
                events.append((_told(request, threshold, opens), request.version + 1))
            if threshold.name == "overdue":
                kind = "overdue" if threshold.clock == "answer" else "completion_lapsed"
                entries.append(entry(request, kind, threshold.at, None, {"due_date": threshold.due_date.isoformat()}))
        overdue.append(next((t.at for t in new if (t.clock, t.name) == ("answer", "overdue")), None))
        next_alarms.append(next((t.at for t in ahead if t.at > instant), None))
    if rows:
        session.execute(_ANNOUNCE, {"rows": json.dumps(rows, default=str)})
    record_all(session, entries)
    session.execute(_ON, {"ids": ids, "alarms": next_alarms, "overdue": overdue})
    emit_all(session, _addressed(session, events))
    return len(requests)


def _of_use(passed: Sequence[Threshold], history: Sequence[History]) -> set[Threshold]:
    """The reminders among thresholds that have passed that are still of use to somebody.

    Of several of one clock the last, and none that came before the clock ran out, for that is told itself. Of those that passed before
    the request was entered, as of a letter that lay, the last of all clocks.
    """
    ran_out = {threshold.clock: threshold.at for threshold in passed if threshold.name == "overdue"}
    reminders = [t for t in passed if t.to and (t.clock not in ran_out or t.at >= ran_out[t.clock])]
    entered = next((told.recorded_at for told in history if told.kind == "received"), None)
    missed = [threshold for threshold in reminders if entered is not None and threshold.at < entered]
    return {*missed[-1:], *{threshold.clock: threshold for threshold in reminders if threshold not in missed}.values()}


_ANNOUNCE = sa.text(
    "insert into announcement (request_id, clock, threshold, clock_version, at, told) select * from"
    " jsonb_to_recordset(cast(:rows as jsonb)) as new(request_id uuid, clock text, threshold text, clock_version int,"
    " at timestamptz, told boolean) on conflict do nothing"
)


def _ahead(session: Session, request: sa.Row[Any], history: Sequence[History]) -> list[Threshold]:
    if any(told.kind != "received" for told in history):
        return thresholds(clocks(session, request, history))
    return _thresholds_of_quiet(session, request, history)


def _told(request: sa.Row[Any], threshold: Threshold, opens: datetime) -> contracts.Event:
    if threshold.clock == "answer" and threshold.name == "overdue":
        return contracts.RequestBecameOverdue(
            request_id=request.id,
            number=request.number,
            type_name=request.type_name,
            office=request.office,
            received_at=request.received_at,
            due_date=threshold.due_date,
            overdue_at=threshold.at,
            send_from=opens,
        )
    return contracts.RequestReminder(
        request_id=request.id,
        number=request.number,
        type_name=request.type_name,
        office=request.office,
        clock=threshold.clock,
        threshold=threshold.name,
        due_date=threshold.due_date,
        to=list(threshold.to) or ["assignee"],
        send_from=opens,
        assignee=request.assignee,
    )


def _addressed(session: Session, events: list[tuple[contracts.Event, int]]) -> list[tuple[contracts.Event, int]]:
    """With the reminders that go to an officer given the officer's address."""
    subjects = {
        event.assignee for event, _ in events if isinstance(event, contracts.RequestReminder) and event.assignee
    }
    if not subjects:
        return events
    known = addresses(session, subjects)
    return [
        (event.model_copy(update={"assignee_email": known.get(event.assignee)}), version)
        if isinstance(event, contracts.RequestReminder) and event.assignee
        else (event, version)
        for event, version in events
    ]


def addresses(session: Session, subjects: Collection[str]) -> dict[str, contracts.Sealed]:
    """Where what is for these officers goes, of those who said it."""
    of_them = DeskOfficer.subject.in_(subjects), DeskOfficer.email.is_not(None)
    found = session.execute(sa.select(DeskOfficer.subject, DeskOfficer.email).where(*of_them))
    return {row.subject: contracts.Sealed(seal(row.email)) for row in found}
