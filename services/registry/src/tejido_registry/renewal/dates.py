"""The dates of the calendar's work on an organization. Pure."""

from collections.abc import Sequence
from datetime import date, timedelta

from tejido_registry import axes
from tejido_registry.standing.rules import Dated, turns
from tejido_shared.deadlines import months_after
from tejido_shared.jurisdiction import Register

_DAY = timedelta(days=1)
_UNDER_WAY = ("registered", "suspended")


def next_filing(since: date, register: Register) -> date:
    """The last day for the next annual filing, `since` being the day of the entry or of the last accepted filing."""
    return months_after(since, register.policy.validity_months)


def due_on(known: Dated, on: date, register: Register) -> date | None:
    """The next day after `on` on which the calendar has something to do with an organization; none if no date is known.

    It may come to it too often, never too seldom: a day of reminder counts although the organization may not be registered then.
    """
    days = [day for day in turns(known, register) if day > on]
    policy = register.policy
    office = axes.in_office(known.terms, on, policy.expiring_days)
    for day in (office.until, known.filing_due_on):
        if day is not None:
            days += [at for at in _reminders(day, policy.reminder_days) if at > on]
    grace_until = known.grace_until(register)
    if grace_until is not None and on > grace_until and known.registration in _UNDER_WAY:
        # It could not be made inactive yet: who suspended it, or a filing that is being decided, may end that any day.
        days.append(on + _DAY)
    elif known.filing_pending and known.filing_due_on is not None:
        days.append(max(on, known.filing_due_on + timedelta(days=policy.grace_days)) + _DAY)
    return min(days, default=None)


def _reminders(day: date, before: Sequence[int]) -> list[date]:
    return [day - timedelta(days=n) for n in before]
