"""When the law has mandates begin. Pure."""

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from tejido_shared.jurisdiction import MandateTerm

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    starts_on: date
    ends_on: date


def period(rule: MandateTerm, on: date) -> Period | None:
    """The term that a day lies in; none before the first."""
    begun = [one for one in _from(rule, on.year) if one.starts_on <= on <= one.ends_on]
    return begun[0] if begun else None


def next_period(rule: MandateTerm, on: date) -> Period:
    """The first term that begins after a day."""
    return next(one for one in _from(rule, on.year) if one.starts_on > on)


def _from(rule: MandateTerm, year: int) -> list[Period]:
    """The terms around a year: at least the one that holds its first day, if there is one, and those up to the one after it."""
    turns = max(0, (year - rule.first_year) // rule.every_years - 1)
    first = rule.first_year + turns * rule.every_years
    begins = [_day(rule, first + n * rule.every_years) for n in range(5)]
    return [Period(start, following - _DAY) for start, following in pairwise(begins)]


def _day(rule: MandateTerm, year: int) -> date:
    month, day = (int(part) for part in rule.begins.split("-"))
    try:
        return date(year, month, day)
    except ValueError:
        return date(year, month, 28)  # 29 February
