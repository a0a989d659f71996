"""When the offices are open, by the pack. Closures that the requests desk declares later are not known here."""

from datetime import UTC, date, datetime, timedelta
from functools import cache

from tejido_notifications.settings import jurisdiction


def in_office_hours(instant: datetime) -> datetime:
    """The instant itself if the offices are open then, else when they next open; in UTC."""
    hours, local = jurisdiction().procedure.office_hours, instant.astimezone(jurisdiction().zone)
    is_open = _is_open(local.date()) and hours.opens <= local.time() < hours.closes
    return instant if is_open else next_opening(instant)


def next_opening(instant: datetime) -> datetime:
    """When the offices open for the first time after the instant; in UTC."""
    pack = jurisdiction()
    local, opens = instant.astimezone(pack.zone), pack.procedure.office_hours.opens
    day = local.date() if local.time() < opens else local.date() + timedelta(days=1)
    while not _is_open(day):
        day += timedelta(days=1)
    return datetime.combine(day, opens, pack.zone).astimezone(UTC)


def _is_open(day: date) -> bool:
    return jurisdiction().counting.weekdays[day.weekday()] == "1" and day not in _closed()


@cache
def _closed() -> frozenset[date]:
    return frozenset(day for closure in jurisdiction().closures for day in closure.days())
