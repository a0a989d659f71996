"""The calendars that count, by version. A version never changes, so what was read of it once is kept in memory."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.models import CalendarVersion, ClosureRecord, ConfirmedYear
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_shared import i18n
from tejido_shared.deadlines import Calendar, Closed, Deadline
from tejido_shared.jurisdiction import Closure

_closures: dict[int, tuple[Closure, ...]] = {}
_calendars: dict[tuple[int, str], Calendar] = {}
_confirmed: dict[int, None] = {}
MOST_CALENDARS = 500
_FIRST_TRIAL = 2**40
_trials = count(_FIRST_TRIAL)
_memories: list[dict[Any, Any]] = [_closures, _calendars, _confirmed]


def memory() -> dict[Any, Any]:
    """A dictionary for what follows from calendars, emptied by `forget`."""
    _memories.append({})
    return _memories[-1]


def forget() -> None:
    """Drops what is kept in memory: for a process whose database was replaced under it, as tests and a restored backup do."""
    for kept in _memories:
        kept.clear()


def last_known() -> int:
    """The newest version this process has read; 0 before the first. Whoever writes must check it against `in_force`."""
    return max((number for number in list(_closures) if number < _FIRST_TRIAL), default=0)


IN_FORCE = sa.select(sa.func.coalesce(sa.func.max(CalendarVersion.number), 0))
"""The number of the version in force, 0 if there is none yet. Reading it in a transaction holds up any change until that ends."""


_STORED = sa.select(sa.exists().where(CalendarVersion.number == sa.bindparam("number")))


def in_force(session: Session) -> int:
    return session.execute(IN_FORCE).scalar_one()


def in_version(number: int) -> sa.ColumnElement[bool]:
    """The closures in force in this version."""
    return (ClosureRecord.since <= number) & (ClosureRecord.until.is_(None) | (ClosureRecord.until > number))


def closures(session: Session | sa.Connection, number: int) -> tuple[Closure, ...]:
    """The closures of a version, by first day; of one nobody has stored yet, the pack's, which version 1 will hold."""
    if number not in _closures:
        columns = [getattr(ClosureRecord, name) for name in Closure.model_fields]
        rows = session.execute(
            sa.select(*columns).where(in_version(number)).order_by(ClosureRecord.starts_on, ClosureRecord.name)
        ).all()
        if not rows and not session.execute(_STORED, {"number": number}).scalar_one():
            # Requests from before there were versions are read before the first write makes one. Not to be remembered.
            return tuple(sorted(jurisdiction().closures, key=lambda closure: (closure.starts_on, closure.name)))
        _closures[number] = tuple(Closure.model_validate(dict(row._mapping)) for row in rows)  # noqa: SLF001
    return _closures[number]


def suspended(found: Iterable[Closure], type_code: str) -> dict[date, Closed]:
    """The days that do not count for one type of request, by these closures."""
    days: dict[date, Closed] = {}
    for closure in found:
        if closure.suspends_terms and type_code not in closure.except_types:
            days |= {day: Closed(closure.name, closure.act) for day in closure.days()}
    return days


def calendar(session: Session | sa.Connection, number: int, type_code: str) -> Calendar:
    """The calendar of a version as it applies to one type of request."""
    key = (number, type_code)
    known = _calendars.get(key)
    if known is not None:
        return known
    made = Calendar(jurisdiction().counting.weekdays, suspended(closures(session, number), type_code))
    if number in _closures:
        # Each holds a century of days: types without exceptions of their own share one.
        same = [kept for (of, _), kept in list(_calendars.items()) if of == number and kept == made]
        made = same[0] if same else made
        if len(_calendars) >= MOST_CALENDARS:
            _calendars.clear()
        _calendars[key] = made
    return made


@contextmanager
def trial(found: Sequence[Closure]) -> Iterator[int]:
    """Within the block these closures are the newest version of the calendar, under the number given. They are stored nowhere."""
    number = next(_trials)
    _closures[number] = tuple(found)
    try:
        yield number
    finally:
        del _closures[number]
        for key in [key for key in list(_calendars) if key[0] == number]:
            _calendars.pop(key, None)


def unconfirmed(session: Session | sa.Connection, years: Iterable[int]) -> list[int]:
    """Those of the years whose closures nobody has said to be complete, ascending."""
    wanted = set(years)
    if not wanted <= _confirmed.keys():
        _confirmed.update(dict.fromkeys(session.scalars(sa.select(ConfirmedYear.year))))
    return sorted(wanted - _confirmed.keys())


def warnings(session: Session | sa.Connection, counted: Deadline) -> list[str]:
    """What whoever relies on this date must know, in words: whether the count reaches into a year whose closures nobody has said to be
    complete.
    """
    dates = [counted.due_date, counted.deliver_copies_by, *counted.citizen_due_dates[-1:]]
    last = max((day for day in dates if day is not None), default=counted.effective_receipt_date)
    years = unconfirmed(session, range(counted.effective_receipt_date.year, last.year + 1))
    return [not_confirmed(years)] if years else []


def not_confirmed(years: Iterable[int]) -> str:
    return i18n.text(PACKAGE, "calendar.warning.year_not_confirmed", years=", ".join(map(str, years)))
