"""Closures that a library, the pack or somebody's calendar proposes. A person decides on each, against the official publication.

None is ever in force by itself: libraries lack what was decreed last month and hold what this municipality does not keep.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from uuid import UUID

import holidays
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_requests.calendars import queries, service
from tejido_requests.models import CalendarChange, CalendarVersion, ClosureProposal, ClosureRecord
from tejido_requests.settings import jurisdiction
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import Closure
from tejido_shared.refusals import Refused

LIBRARY, PACK, ICALENDAR = "holidays", "pack", "icalendar"


@dataclass(frozen=True)
class Line:
    """One closure somebody proposes."""

    starts_on: date
    ends_on: date
    name: str
    scope: str


def of_library(year: int, subdivision: str | None = None) -> list[Line]:
    """What the library knows of a year: the country's days, and those only the subdivision has.

    Without `subdivision` it is the one that the pack's code ends in, as in `ar-tucuman`. Raises `Refused` for one the library does not
    know.
    """
    country = jurisdiction().country
    kind = type(holidays.country_holidays(country))
    if subdivision is None:
        place = jurisdiction().code.partition("-")[2]
        subdivision = next((code for name, code in kind.subdivisions_aliases.items() if _plain(name) == place), None)
    elif subdivision not in kind.subdivisions:
        raise Refused("unknown_subdivision", "subdivision")
    everywhere = holidays.country_holidays(country, years=year, language="es")
    here = holidays.country_holidays(country, subdiv=subdivision, years=year, language="es")
    return [
        Line(day, day, name, "country" if day in everywhere else "province")
        for day, name in sorted(here.items())
        if day.year == year
    ]


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFD", name.lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).replace(" ", "-")


def from_library(session: Session, year: int, subdivision: str | None = None) -> list[ClosureRecord]:
    """Proposes the library's days of a year that the calendar in force lacks. Returns the closures the library lacks."""
    lines = of_library(year, subdivision)
    # What another version of the library proposed is not brought up again by this one, decided or not.
    before = session.execute(
        sa.select(ClosureProposal.starts_on, ClosureProposal.name).where(ClosureProposal.source.startswith(LIBRARY))
    )
    proposed = {(row.starts_on, row.name) for row in before}
    propose(
        session,
        f"{LIBRARY} {version('holidays')}",
        [line for line in lines if (line.starts_on, line.name) not in proposed],
    )
    from_pack(session)
    known = {line.starts_on for line in lines}
    number = service.in_force(session)
    within = (ClosureRecord.starts_on <= date(year, 12, 31)) & (ClosureRecord.ends_on >= date(year, 1, 1))
    found = session.scalars(
        sa.select(ClosureRecord).where(queries.in_version(number), within).order_by(ClosureRecord.starts_on)
    )
    return [row for row in found if not any(row.starts_on <= day <= row.ends_on for day in known)]


def from_pack(session: Session) -> int:
    """Proposes what the pack's closures.csv has and the calendar in force lacks, if that file is another than version 1 was made of."""
    pack, number = jurisdiction(), service.in_force(session)
    first = session.scalar(sa.select(CalendarVersion.fingerprint).where(CalendarVersion.number == 1))
    if first == pack.calendar_version:
        return 0
    there = {(closure.starts_on, closure.ends_on, closure.name) for closure in queries.closures(session, number)}
    lines = [
        Line(closure.starts_on, closure.ends_on, closure.name, closure.scope)
        for closure in pack.closures
        if (closure.starts_on, closure.ends_on, closure.name) not in there
    ]
    return _write(session, PACK, lines)


def propose(session: Session, source: str, lines: Iterable[Line]) -> int:
    """Proposes those of the lines that have a day the calendar in force does not close, none twice. Returns how many are new."""
    closed: set[date] = set()
    for closure in queries.closures(session, service.in_force(session)):
        closed.update(closure.days())
    return _write(session, source, [line for line in lines if not closed.issuperset(_days(line))])


def _days(line: Line) -> Iterable[date]:
    return (date.fromordinal(day) for day in range(line.starts_on.toordinal(), line.ends_on.toordinal() + 1))


def _write(session: Session, source: str, lines: list[Line]) -> int:
    if not lines:
        return 0
    rows = [
        {"id": new_id(), "source": source, "year": line.starts_on.year, "status": "pending"} | vars(line)
        for line in lines
    ]
    added = insert(ClosureProposal).on_conflict_do_nothing().returning(ClosureProposal.id)
    return len(session.execute(added, rows).all())


def one(session: Session, proposal_id: UUID) -> ClosureProposal | None:
    return session.scalar(sa.select(ClosureProposal).where(ClosureProposal.id == proposal_id).with_for_update())


def accept(
    session: Session, proposal: ClosureProposal, closure: Closure, author: str, change: CalendarChange | None
) -> CalendarChange:
    """Puts the line into a draft, this one or a new one, as the closure a person says it is. Raises `Refused` as `service.draft` does.

    The preview of a draft there was must then be asked for anew.
    """
    _decide(proposal, "accepted", author)
    if change is None:
        change = service.draft(session, author, [closure])
        added = change.declared[-1]
        change.declared = [added | {"proposal": str(proposal.id)}]
    else:
        service.add(session, change, closure.model_dump(mode="json") | {"proposal": str(proposal.id)})
    session.flush()
    return change


def reject(session: Session, proposal: ClosureProposal, author: str, reason: str) -> None:
    _decide(proposal, "rejected", author)
    proposal.reason = reason
    session.flush()


def _decide(proposal: ClosureProposal, status: str, author: str) -> None:
    if proposal.status != "pending":
        raise Refused("proposal_decided")
    proposal.status, proposal.decided_at, proposal.decided_by = status, now(), author
