"""When the offices are open, by the pack. Closures that the requests desk declares later are not known here."""

from datetime import UTC, date, datetime, timedelta
from functools import cache

from tejido_notifications.settings import jurisdiction


def in_office_hours(instant: datetime) -> datetime:
    """The instant itself if the offices are open then, else when they next open; in UTC."""
    pack = jurisdiction()
    hours, local = pack.procedure.office_hours, instant.astimezone(pack.zone)
    if _is_open(local.date()) and hours.opens <= local.time() < hours.closes:
        return instant
    day = local.date() if local.time() < hours.opens else local.date() + timedelta(days=1)
    while not _is_open(day):
        day += timedelta(days=1)
    return datetime.combine(day, hours.opens, pack.zone).astimezone(UTC)


def _is_open(day: date) -> bool:
    return jurisdiction().counting.weekdays[day.weekday()] == "1" and day not in _closed()


@cache
def _closed() -> frozenset[date]:
    return frozenset(day for closure in jurisdiction().closures for day in closure.days())
