"""When requests came in, so that today they stand as they should."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from functools import cache
from random import Random

from tejido_local.sample.town import Town
from tejido_requests import settings as requests_settings
from tejido_requests.clocks import service as clocks
from tejido_requests.intake.service import deadline_of
from tejido_shared.deadlines import Calendar, Closed, Deadline, Term, deadline

LONGEST_AGO = 180
"""Days ago of the oldest request."""


@dataclass(frozen=True)
class Due:
    """When an answer is due whose clock never rested."""

    day: date
    soon_from: date | None
    overdue_at: datetime

    @classmethod
    def of(cls, counted: Deadline) -> "Due":
        """Raises `LookupError` for a clock that rests."""
        if counted.due_date is None or counted.overdue_at is None:
            raise LookupError("a clock that rests has no date")
        return cls(counted.due_date, counted.due_soon_from, counted.overdue_at)


def due(code: str, received: datetime) -> Due:
    """When a request of this type is due if nothing happens to it."""
    return Due.of(deadline_of(_calendar(code), code, received, typed(code, received.date()))[0])


def typed(code: str, received_on: date) -> date | None:
    """The due date that an authority sets, for types where it does."""
    by_hand = requests_settings.jurisdiction().request_type(code).due_date == "typed"
    return received_on + timedelta(days=12) if by_hand else None


@cache
def _calendar(code: str) -> Calendar:
    pack = requests_settings.jurisdiction()
    days = {day: Closed(c.name, c.act) for c in pack.suspending_closures(code) for day in c.days()}
    return Calendar(pack.counting.weekdays, days)


@cache
def _by_age(code: str, today: date) -> list[tuple[int, Due]]:
    """By days ago of the receipt, where the law of that day had a term."""
    zone, found = requests_settings.jurisdiction().zone, []
    for age in range(LONGEST_AGO):
        noon = datetime.combine(today - timedelta(days=age), time_of_day(12), zone)
        with suppress(LookupError):
            found.append((age, due(code, noon)))
    return found


def age(town: Town, rng: Random, code: str, outcome: str, *, at_any_hour: bool) -> int:
    """How many days ago a request was received for which this outcome is true today."""

    def fits(age: int, due: Due) -> bool:
        late = (town.today - due.day).days
        soon_from = due.soon_from or due.day - timedelta(days=4)
        if outcome == "fresh":
            return age <= 2
        if outcome == "answered":
            return age >= 4 and late <= 0
        if outcome in ("open", "due_soon"):
            return age >= 3 and late <= 0 and (soon_from <= town.today) == (outcome == "due_soon")
        earliest, latest = {"overdue": (1, 25), "on_time": (1, 110), "late": (16, 110)}[outcome]
        return earliest <= late <= latest

    ages = [age for age, due in _by_age(code, town.today) if fits(age, due)]
    at_work = [age for age in ages if at_any_hour or town.is_open(town.today - timedelta(days=age))]
    # A term of few days has none that is open and not due soon.
    return rng.choice(at_work or ages or [0, 1, 2])


def asked_age(town: Town, rng: Random, code: str, fits: Callable[[int], bool]) -> int | None:
    """How many days ago a citizen was asked to complete a request so that this many days are left today, fewer than none once the
    time has passed. None where the place gives no such time.
    """
    term = town.pack.procedure.complete
    if term is None:
        return None
    found = []
    for age in range(1, LONGEST_AGO - 30):
        asked = town.at(town.today - timedelta(days=age), 12)
        until = deadline(asked, Term(term.unit, term.n), _calendar(code), town.pack.zone, clocks.policy()).due_date
        if until is not None and town.is_open(asked.date()) and fits((until - town.today).days):
            found.append(age)
    return rng.choice(found) if found else None


def answered_at(
    town: Town, rng: Random, outcome: str, recorded: datetime, due: Due, *, by_mail: bool
) -> datetime | None:
    """When a request that was recorded then is answered; None if it is not, for this outcome."""
    day, hour, minutes = recorded.astimezone(town.pack.zone).date(), rng.uniform(8, 16), rng.uniform(1, 9)
    if outcome == "answered" and by_mail:
        return town.now - timedelta(minutes=minutes)  # the mail goes out now, and its delivery will be the proof
    if outcome == "answered":
        days, latest = town.open_days(day, town.today - timedelta(days=1)), town.now - timedelta(hours=1)
    elif outcome == "on_time":
        days, latest = town.open_days(day, due.day), due.overdue_at - timedelta(hours=3)
    elif outcome == "late":
        days, latest = town.open_days(due.day, town.today - timedelta(days=6))[:12], town.now
    else:
        return None
    return max(recorded, min(town.at(rng.choice(days), hour), latest) if days else latest)


def notified_at(
    town: Town, rng: Random, outcome: str, answered: datetime, due: Due, *, by_mail: bool
) -> datetime | None:
    """When the answer arrived: by mail at once, else within some days. None while the proof is awaited."""
    awaited, minutes, hour = rng.random() < 0.15, rng.uniform(1, 4), rng.uniform(8, 16)
    if outcome == "answered" or (outcome == "late" and awaited and not by_mail):
        return None
    if by_mail:
        return answered + timedelta(minutes=minutes)
    last = due.day if outcome == "on_time" else town.today - timedelta(days=1)
    days = town.open_days(answered.astimezone(town.pack.zone).date(), last)[:4]
    return town.at(rng.choice(days), hour) if days else answered + timedelta(hours=1)
