"""The days that count."""

import calendar as months
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property

FIRST, LAST = date(2000, 1, 1), date(2100, 12, 31)
"""The days a calendar reaches. A count that leaves them raises `OutOfCalendar`."""
_BEFORE = FIRST.toordinal() - 1


class OutOfCalendar(ValueError):  # noqa: N818
    """A date lies outside what any calendar holds."""


@dataclass(frozen=True)
class Closed:
    """Why a day does not count: the closure's name and its legal act."""

    name: str
    act: str


@dataclass(frozen=True)
class Calendar:
    """The days that count for one kind of request.

    `weekdays` has a 1 for each day of the week the office works, Monday first; `closures` the closed days that suspend terms. Raises
    `ValueError` for a week without a working day, for no term would ever end.
    """

    weekdays: str
    closures: Mapping[date, Closed]

    def __post_init__(self) -> None:
        if len(self.weekdays) != 7 or set(self.weekdays) - {"0", "1"} or "1" not in self.weekdays:
            raise ValueError("weekdays: seven digits 0 or 1, at least one of them 1")

    def closing(self, days: Mapping[date, Closed]) -> "Calendar":
        return replace(self, closures={**self.closures, **days})

    def opening(self, days: Iterable[date]) -> "Calendar":
        """The same calendar without the closures of these days; a weekend stays a weekend."""
        reopened = set(days)
        return replace(self, closures={day: why for day, why in self.closures.items() if day not in reopened})

    @cached_property
    def _counted(self) -> tuple[list[date], list[int]]:
        """Every open day, ascending; and for each day of the calendar how many open days there are up to it."""
        works = [digit == "1" for digit in self.weekdays]
        opened, up_to = [], [0]
        for ordinal in range(FIRST.toordinal(), LAST.toordinal() + 1):
            day = date.fromordinal(ordinal)
            if works[(ordinal - 1) % 7] and day not in self.closures:
                opened.append(day)
            up_to.append(len(opened))
        return opened, up_to

    def is_open(self, day: date) -> bool:
        return self.weekdays[day.weekday()] == "1" and day not in self.closures

    def _up_to(self, day: date) -> int:
        place = day.toordinal() - _BEFORE
        if place < 0:
            raise OutOfCalendar(str(day))
        try:
            return self._counted[1][place]
        except IndexError:
            raise OutOfCalendar(str(day)) from None

    def open_after(self, day: date, n: int) -> date:
        """The n-th open day strictly after `day`; n is at least 1."""
        try:
            return self._counted[0][self._up_to(day) + n - 1]
        except IndexError:
            raise OutOfCalendar(f"{n} open days after {day}") from None

    def open_before(self, day: date, n: int) -> date:
        """The n-th open day strictly before the open day `day`."""
        index = self._up_to(day) - 1 - n
        if index < 0:
            raise OutOfCalendar(f"{n} open days before {day}")
        return self._counted[0][index]

    def open_from(self, day: date) -> date:
        """`day` if it is open, else the next open day."""
        return self.open_after(day - timedelta(days=1), 1)

    def open_between(self, after: date, until: date) -> int:
        """How many open days lie strictly after one day and up to another; negative when `until` is the earlier."""
        return self._up_to(until) - self._up_to(after)


def months_after(day: date, n: int) -> date:
    """The same day `n` months on, or that month's last day (Código Civil art. 67). Never chain it: count from the first date."""
    year, month = divmod(day.year * 12 + day.month - 1 + n, 12)
    return date(year, month + 1, min(day.day, months.monthrange(year, month + 1)[1]))
