"""The two axes of an organization that nobody types: who is in office, and how fresh its data are.

Pure: dates in, statuses out. Every date is a local day of the municipality, and dates decide: in which order they were recorded
does not matter, and what is asked of a day in the past or to come is answered as of that day.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tejido_shared.deadlines import months_after
from tejido_shared.jurisdiction import Freshness, MandateStatus, RegisterPolicy

GROUPS = ("identity", "location", "contact", "authorities", "documents")
"""What is verified together."""
ESSENTIAL = GROUPS[:3]
"""The groups that every organization has: its data are as fresh as the one of these that was verified longest ago."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Term:
    """The days of a mandate of somebody who signs. `ended_on` is its last day where it ended before its term."""

    starts_on: date
    ends_on: date
    ended_on: date | None = None

    @property
    def last(self) -> date:
        return self.ends_on if self.ended_on is None else min(self.ended_on, self.ends_on)

    @property
    def ended_early(self) -> bool:
        return self.last < self.ends_on


@dataclass(frozen=True)
class InOffice:
    """Whether somebody signs, and until when: the last day of an unbroken row of mandates, or the last day anybody signed."""

    status: MandateStatus
    until: date | None


def in_office(terms: Collection[Term], on: date, expiring_days: int) -> InOffice:
    """What the mandates of those who sign come to on a day.

    `expiring`: nobody follows, and at most `expiring_days` are left. `expired`: the last term ran out. `vacant`: who signed left
    before the term, or the next to sign has not begun yet. `unknown`: nobody ever began to sign.
    """
    begun = [term.last for term in terms if term.starts_on <= on]
    if not begun:
        return InOffice("unknown", None)
    until = max(begun)
    if until < on:
        early = all(term.ended_early for term in terms if term.starts_on <= on and term.last == until)
        gap = any(term.starts_on > on for term in terms)
        return InOffice("vacant" if early or gap else "expired", until)
    for term in sorted(terms, key=lambda term: term.starts_on):
        if term.starts_on <= until + _DAY:
            until = max(until, term.last)
    return InOffice("expiring" if (until - on).days <= expiring_days else "current", until)


def turns_of_office(terms: Iterable[Term], expiring_days: int) -> set[date]:
    """The days on which `in_office` may answer otherwise than on the day before."""
    return {
        day for term in terms for day in (term.starts_on, term.last + _DAY, term.last - timedelta(days=expiring_days))
    }


@dataclass(frozen=True)
class Confirmation:
    """A verification that found the data true, or made them true."""

    groups: frozenset[str]
    on: date


def confirmed(confirmations: Iterable[Confirmation], on: date) -> dict[str, date]:
    """Of each group that was ever confirmed up to a day, the last time."""
    latest: dict[str, date] = {}
    for one in confirmations:
        if one.on <= on:
            for group in one.groups:
                latest[group] = max(latest.get(group, one.on), one.on)
    return latest


def verified_on(latest: Mapping[str, date]) -> date | None:
    """Since when the essential groups are all confirmed; none if one of them never was."""
    return min(latest[group] for group in ESSENTIAL) if latest.keys() >= {*ESSENTIAL} else None


def freshness(verified: date | None, on: date, policy: RegisterPolicy) -> Freshness:
    """`verified` through the last day of `verified_months`, `due` through that of `stale_months`, then `stale`."""
    if verified is None:
        return "never"
    if on <= months_after(verified, policy.verified_months):
        return "verified"
    return "due" if on <= months_after(verified, policy.stale_months) else "stale"


def turns_of_freshness(confirmations: Iterable[Confirmation], policy: RegisterPolicy) -> set[date]:
    """The days on which `freshness` may answer otherwise than on the day before."""
    return {
        day
        for one in confirmations
        for day in (
            one.on,
            months_after(one.on, policy.verified_months) + _DAY,
            months_after(one.on, policy.stale_months) + _DAY,
        )
    }


def reminder(due_on: date, on: date, days: Sequence[int]) -> int | None:
    """Which of the reminders of a date is to be told on a day: the nearest to the date; none before the first or after the date."""
    left = (due_on - on).days
    return min((n for n in days if left <= n), default=None) if left >= 0 else None
