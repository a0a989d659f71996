"""Declaring and withdrawing closures, and what follows for open requests."""

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg.errors
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_requests.calendars import queries, redating
from tejido_requests.models import CalendarChange, CalendarVersion, ClosureProposal, ClosureRecord, ConfirmedYear
from tejido_requests.settings import jurisdiction
from tejido_shared.clock import now
from tejido_shared.deadlines import FIRST, LAST
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import LONGEST_CLOSURE_DAYS, Closure
from tejido_shared.refusals import Refused

LOCK_TRIES, LOCK_WAIT_MS, LOCK_REST = 5, 800, 0.2
"""Filing waits while somebody waits for the switch: so little at a time, and rests in seconds in between."""


def seed(session: Session) -> int:
    """Makes version 1 of the jurisdiction pack's closures if there is no version yet. Returns the version in force."""
    pack = jurisdiction()
    first: Any = insert(CalendarVersion).values(number=1, at=now(), note="", fingerprint=pack.calendar_version)
    if session.execute(first.on_conflict_do_nothing().returning(CalendarVersion.number)).first() is not None:
        rows = [{"id": new_id(), "since": 1, **closure.model_dump()} for closure in pack.closures]
        if rows:
            session.execute(sa.insert(ClosureRecord), rows)
        years = [{"year": year, "confirmed_at": now()} for year in pack.confirmed_years]
        if years:
            session.execute(sa.insert(ConfirmedYear), years)
    return queries.in_force(session)


def in_force(session: Session) -> int:
    """The calendar version in force. Must be asked in a transaction that may write: the first ever asked makes version 1."""
    return queries.in_force(session) or seed(session)


def declared(closure: dict[str, Any]) -> Closure:
    """A closure as a change keeps it."""
    return Closure.model_validate({name: closure[name] for name in Closure.model_fields})


def closure_from(values: dict[str, Any], field: str = "") -> Closure:
    """A closure as a person says it is. Raises `Refused`, `field` before the name, for days no calendar reaches and unknown types."""
    starts_on, ends_on = values["starts_on"], values["ends_on"]
    if ends_on < starts_on:
        raise Refused("closure_backwards", f"{field}ends_on")
    if (ends_on - starts_on).days >= LONGEST_CLOSURE_DAYS:
        raise Refused("closure_too_long", f"{field}ends_on", days=LONGEST_CLOSURE_DAYS)
    if not FIRST <= starts_on <= ends_on <= LAST:
        raise Refused("out_of_calendar", f"{field}starts_on")
    if not {kind.code for kind in jurisdiction().request_types}.issuperset(values["except_types"]):
        raise Refused("unknown_request_type", f"{field}except_types")
    return Closure.model_validate(values)


def draft(
    session: Session, author: str, declare: Sequence[Closure], withdraw: Sequence[tuple[UUID, str]] = ()
) -> CalendarChange:
    """A change that shows what it would move and changes nothing yet. `withdraw`: closures in force, each with the act that does so.

    Raises `Refused` for an empty change, a closure that is in force already or is not, or while another change is re-dating requests.
    """
    if not declare and not withdraw:
        raise Refused("change_empty", "declare")
    number = in_force(session)
    rows = {
        row.id: row
        for row in session.scalars(
            sa.select(ClosureRecord).where(
                ClosureRecord.id.in_([id_ for id_, _ in withdraw]), queries.in_version(number)
            )
        )
    }
    gone = []
    for place, (closure_id, act) in enumerate(withdraw):
        row = rows.pop(closure_id, None)
        if row is None:
            raise Refused("unknown_closure", f"withdraw.{place}.closure")
        days = {"starts_on": row.starts_on.isoformat(), "ends_on": row.ends_on.isoformat()}
        counted = {"suspends_terms": row.suspends_terms, "except_types": row.except_types}
        gone.append({"id": str(closure_id), "name": row.name, "act": act} | days | counted)
    change = CalendarChange(
        created_at=now(),
        created_by=author,
        declared=[closure.model_dump(mode="json") for closure in declare],
        withdrawn=gone,
        status="draft",
        seen=0,
        moved=0,
    )
    look_ahead(session, change, author)
    session.add(change)
    session.flush()
    return change


def add(session: Session, change: CalendarChange, closure: dict[str, Any]) -> None:
    """Puts one more closure, as a change keeps it, into a draft, whose preview then no longer holds. Raises `Refused` as `draft` does."""
    if change.status != "draft":
        raise Refused("change_not_draft")
    change.declared = [*change.declared, closure]
    _closures_after(session, change)
    change.preview = {}


def look_ahead(session: Session, change: CalendarChange, reader: str) -> None:
    """Works the preview out on the version in force, for `reader`. Raises `Refused` as `draft` does."""
    if change.status not in (None, "draft"):
        raise Refused("change_not_draft")
    _refuse_while_redating(session)
    change.based_on = in_force(session)
    before = queries.closures(session, change.based_on)
    after = _closures_after(session, change)
    found = redating.span(before, after)
    change.first_day, change.last_day = (found.first, found.last) if found else (None, None)
    change.preview = redating.preview(session, change.based_on, after, found) | {
        "calendar": fingerprint(after),
        "reader": reader,
    }


def was_shown(change: CalendarChange, reader: str) -> bool:
    """Whether the draft's present preview, if it has one, was worked out for this person."""
    return bool(change.preview.get("reader", reader) == reader)


def _closures_after(session: Session, change: CalendarChange) -> list[Closure]:
    columns = [getattr(ClosureRecord, name) for name in Closure.model_fields]
    rows = session.execute(sa.select(ClosureRecord.id, *columns).where(queries.in_version(change.based_on)))
    found = {
        row.id: Closure.model_validate({name: getattr(row, name) for name in Closure.model_fields}) for row in rows
    }
    for place, gone in enumerate(change.withdrawn):
        # Somebody else may have withdrawn it since: an earlier version must go on saying what it said.
        if found.pop(UUID(gone["id"]), None) is None:
            raise Refused("unknown_closure", f"withdraw.{place}.closure")
    after = list(found.values())
    said = {_said(closure) for closure in after}
    for place, closure in enumerate(map(declared, change.declared)):
        if _said(closure) in said:
            raise Refused("closure_repeated", f"declare.{place}")
        said.add(_said(closure))
        after.append(closure)
    return after


def _said(closure: Closure) -> tuple[Any, ...]:
    """What makes two closures the same, whenever each became known."""
    return tuple(getattr(closure, name) for name in Closure.model_fields if name != "declared_at")


def _refuse_while_redating(session: Session) -> None:
    """Dates of two versions lie side by side then; what a further change would move cannot be told."""
    if session.scalar(sa.select(CalendarChange.id).where(CalendarChange.status == "confirmed").limit(1)):
        raise Refused("redating_running")


def confirm(session: Session, change: CalendarChange, author: str, note: str | None = None) -> None:
    """Makes the change the version in force; open requests are re-dated in the background from now on.

    Whoever counts reads the number of the version in force in the transaction that writes the date. So that none of them commits a date
    of the old version after the switch, it waits for all of them and lets none begin meanwhile. Raises `Refused` if the version in force
    or what is in the draft is no longer what the preview was worked out on, or if the desk does not let it in.
    """
    if change.status != "draft":
        raise Refused("change_not_draft")
    _lock_versions(session)
    _refuse_while_redating(session)
    if queries.in_force(session) != change.based_on:
        raise Refused("preview_outdated")
    after = _closures_after(session, change)
    if change.preview.get("calendar") != fingerprint(after):
        raise Refused("preview_outdated")
    number, instant = change.based_on + 1, now()
    session.add(
        CalendarVersion(
            number=number,
            at=instant,
            author=author,
            note=note or "; ".join(closure["act"] for closure in [*change.declared, *change.withdrawn]),
            fingerprint=fingerprint(after),
        )
    )
    session.flush()
    gone = [UUID(closure["id"]) for closure in change.withdrawn]
    session.execute(sa.update(ClosureRecord).where(ClosureRecord.id.in_(gone)).values(until=number))
    rows = [
        {"id": new_id(), "since": number, "declared_by": change.created_by, **declared(closure).model_dump()}
        for closure in change.declared
    ]
    if rows:
        session.execute(sa.insert(ClosureRecord), rows)
    change.status, change.calendar_version = "confirmed", number
    change.confirmed_at, change.confirmed_by = instant, author
    session.flush()


def _lock_versions(session: Session) -> None:
    for _ in range(LOCK_TRIES):
        try:
            with session.begin_nested():
                session.execute(sa.text(f"set local lock_timeout = '{LOCK_WAIT_MS}ms'"))
                session.execute(sa.text("lock table calendar_version in access exclusive mode"))
        except sa.exc.OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise
            time.sleep(LOCK_REST)
        else:
            return
    raise Refused("calendar_busy")


def fingerprint(found: Iterable[Closure]) -> str:
    """As the jurisdiction pack's: changes whenever a closure does, whatever their order."""
    rows = sorted(closure.model_dump_json() for closure in found)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def drop(session: Session, change: CalendarChange) -> None:
    """Gives a draft up; the proposals in it wait for somebody again."""
    if change.status != "draft":
        raise Refused("change_not_draft")
    change.status = "dropped"
    ids = [UUID(closure["proposal"]) for closure in change.declared if "proposal" in closure]
    session.execute(
        sa.update(ClosureProposal)
        .where(ClosureProposal.id.in_(ids))
        .values(status="pending", decided_at=None, decided_by=None)
    )
    session.flush()


def confirm_year(session: Session, year: int, author: str) -> ConfirmedYear:
    """A person says that the closures of a year are complete. Again changes nothing.

    Raises `Refused` for a year without a closure, or with proposals nobody has decided on.
    """
    if not FIRST.year <= year <= LAST.year:
        raise Refused("out_of_calendar", "path.year")
    known = session.get(ConfirmedYear, year)
    if known is not None:
        return known
    number = in_force(session)
    waiting = sa.select(ClosureProposal.id).where(ClosureProposal.year == year, ClosureProposal.status == "pending")
    if session.scalar(waiting.limit(1)):
        raise Refused("proposals_pending", year=year)
    if not any(year in (closure.starts_on.year, closure.ends_on.year) for closure in queries.closures(session, number)):
        raise Refused("year_without_closures", year=year)
    row = insert(ConfirmedYear).values(year=year, confirmed_at=now(), confirmed_by=author)
    session.execute(row.on_conflict_do_nothing())
    return session.get_one(ConfirmedYear, year)
