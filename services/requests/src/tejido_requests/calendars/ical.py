"""The calendar as iCalendar (RFC 5545): written for other programs, and read as proposals."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

import icalendar
from dateutil.rrule import rrulestr
from icalendar.parser import Contentline

from tejido_requests.calendars.proposals import Line
from tejido_requests.models import CalendarVersion, ClosureRecord
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.deadlines import FIRST, LAST
from tejido_shared.jurisdiction import LONGEST_CLOSURE_DAYS
from tejido_shared.refusals import Refused

MEDIA_TYPE = "text/calendar"
MOST_LINES = 1000
YEARS_AHEAD = 3
"""How far a rule that repeats is followed: to the end of the year after so many."""
_DAY = timedelta(days=1)
_SCOPES = ("country", "province", "municipality")


def written(version: CalendarVersion, closures: Iterable[ClosureRecord], language: str) -> bytes:
    """One all-day event for each closure, with its act and whether it suspends terms in the description and in X- properties."""
    out = icalendar.Calendar()
    out.add("prodid", "-//Tejido//requests//ES")
    out.add("version", "2.0")
    out.add("x-wr-calname", jurisdiction().entity.name)
    out.add("x-tejido-version", str(version.number))
    for closure in closures:
        event = icalendar.Event()
        event.add("uid", f"{closure.id}@tejido")
        event.add("dtstamp", version.at)
        event.add("dtstart", closure.starts_on)
        event.add("dtend", closure.ends_on + _DAY)
        event.add("summary", closure.name)
        suspends = "suspends" if closure.suspends_terms else "suspends_not"
        event.add("description", f"{closure.act}. {i18n.text(PACKAGE, f'calendar.{suspends}', language)}")
        event.add("categories", [closure.scope])
        event.add("transp", "TRANSPARENT")
        event.add("x-tejido-act", closure.act)
        event.add("x-tejido-suspends-terms", str(closure.suspends_terms).upper())
        event.add("x-tejido-open-for-filing", str(closure.open_for_filing).upper())
        if closure.except_types:
            event.add("x-tejido-except-types", ",".join(closure.except_types))
        out.add_component(event)
    data: bytes = out.to_ical()
    return data


def read(data: bytes) -> list[Line]:
    """The days of every event, one line for each occurrence. Raises `Refused` naming the line of the file and the reason.

    Events with hours count for the local days they touch; those of whole days in their own time zone for these days, whatever our zone.
    Time zone definitions, tasks and cancelled events are no closures. A category that is a scope's name, as `written` gives, is it.
    """
    starts = _checked(data)
    try:
        components = icalendar.Calendar.from_ical(data, multiple=True)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise _broken(1, "ics_broken") from None
    events = [event for component in components for event in component.walk("VEVENT")]
    if len(events) != len(starts):
        raise _broken(1, "ics_broken")
    found: dict[Line, None] = {}
    # Of an event that repeats, the days that an event of their own takes the place of (section 3.8.4.4).
    replaced: dict[str, set[date]] = defaultdict(set)
    for line, event in zip(starts, events, strict=True):
        if not event.errors:  # else it is refused
            replaced[str(event.get("uid"))] |= _days(event, "recurrence-id", line)
    for line, event in zip(starts, events, strict=True):
        found.update(dict.fromkeys(_occurrences(event, line, replaced[str(event.get("uid"))])))
        if len(found) > MOST_LINES:
            raise Refused("ics_too_many", "file", most=MOST_LINES)
    return list(found)


def _broken(line: int, code: str, **params: Any) -> Refused:
    return Refused(code, "file", line=line, **params)


def _checked(data: bytes) -> list[int]:
    """The line each event begins on. Raises `Refused` for a file whose lines are not iCalendar's or do not nest."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _broken(data[: error.start].count(b"\n") + 1, "ics_not_utf8") from None
    open_: list[tuple[str, int]] = []
    starts = []
    any_calendar = False
    for number, line in _unfolded(text):
        try:
            name, _, value = Contentline(line).parts()  # type: ignore[no-untyped-call]
        except ValueError:
            raise _broken(number, "ics_broken") from None
        name, value = name.upper(), str(value).strip().upper()
        if name == "BEGIN":
            if (value == "VCALENDAR") != (not open_):
                raise _broken(number, "ics_broken")
            open_.append((value, number))
            any_calendar = True
            if value == "VEVENT":
                starts.append(number)
        elif name == "END":
            if not open_ or open_.pop()[0] != value:
                raise _broken(number, "ics_broken")
        elif not open_:
            raise _broken(number, "ics_broken")
    if open_:
        raise _broken(open_[-1][1], "ics_not_ended")
    if not any_calendar:
        raise _broken(1, "ics_broken")
    return starts


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines, each with the number of the line it begins on (RFC 5545, section 3.1)."""
    begun, parts = 0, list[str]()
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if line[:1] in (" ", "\t") and parts:
            parts.append(line[1:])
            continue
        if parts and any(part.strip() for part in parts):
            yield begun, "".join(parts)
        begun, parts = number, [line]
    if parts and any(part.strip() for part in parts):
        yield begun, "".join(parts)


def _occurrences(event: Any, line: int, replaced: Collection[date]) -> Iterator[Line]:
    for once in ("SUMMARY", "STATUS"):
        if isinstance(event.get(once), list):
            raise _broken(line, "ics_broken_property", name=once)
    if str(event.get("status", "")).upper() == "CANCELLED":
        return
    if event.errors:
        raise _broken(line, "ics_broken_property", name=str(event.errors[0][0]))
    name = re.sub(r"[\x00-\x1f]+", " ", str(event.get("summary", ""))).strip()[:200]
    if not name:
        raise _broken(line, "ics_no_name")
    if isinstance(event.get("dtstart"), list | type(None)):
        raise _broken(line, "ics_no_date")
    start, end = _range(event, line)
    if end < start:
        raise _broken(line, "ics_backwards")
    if (end - start).days >= LONGEST_CLOSURE_DAYS:
        raise _broken(line, "ics_too_long", days=LONGEST_CLOSURE_DAYS)
    scope = next((category for category in event.categories if category in _SCOPES), "municipality")
    gone = () if "recurrence-id" in event else replaced
    for first in sorted(_repeated(event, start, line).difference(gone)):
        last = first + (end - start)
        if first < FIRST and "rrule" in event:
            continue  # what is kept every year often began long ago
        if not (first >= FIRST and last <= LAST):
            raise _broken(line, "ics_out_of_calendar")
        yield Line(first, last, name, scope)


def _range(event: Any, line: int) -> tuple[date, date]:
    """First and last day."""
    try:
        start = event.decoded("dtstart")
        end = event.decoded("dtend", None)
        length = event.decoded("duration", None)
        if end is None:
            end = start + length if length is not None else start + _DAY * (not isinstance(start, datetime))
        if not isinstance(start, date) or isinstance(start, datetime) != isinstance(end, datetime):
            raise _broken(line, "ics_no_date")
        if not isinstance(start, datetime):
            return start, max(start, end - _DAY) if end >= start else end - _DAY
        if end < start:
            return start.date(), end.date() - _DAY
        whole_days = start.time() == end.time() == time() and end > start
        if start.tzinfo is not None and not whole_days:
            start, end = (at.astimezone(jurisdiction().zone) for at in (start, end))
        if end > start:
            end -= timedelta(microseconds=1)
        return start.date(), end.date()
    except (TypeError, ValueError, OverflowError, AttributeError):
        raise _broken(line, "ics_no_date") from None


def _repeated(event: Any, start: date, line: int) -> set[date]:
    """The first days of every occurrence, up to the end of the year after `YEARS_AHEAD`, without those taken out."""
    rule = event.get("rrule")
    days = {start} | _days(event, "rdate", line)
    if rule is not None:
        days |= set(_followed(rule, start, line))
    return days - _days(event, "exdate", line)


def _followed(rule: Any, start: date, line: int) -> list[date]:
    if not isinstance(rule, icalendar.vRecur):  # as several are not
        raise _broken(line, "ics_rule")
    parts = {str(name).upper(): values for name, values in rule.items()}
    frequency = str(parts.get("FREQ", [""])[0])
    # A rule for each day with conditions may be searched to the end of time and find nothing.
    narrow = any(name.startswith("BY") for name in parts)
    if frequency not in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY") or (frequency == "DAILY" and narrow):
        raise _broken(line, "ics_rule")
    until = parts.pop("UNTIL", [None])[0]
    text = rule.to_ical().decode()  # type: ignore[no-untyped-call]
    # Days are compared with days: an end with an hour and a zone is the day it falls on.
    text = ";".join(part for part in text.split(";") if not part.upper().startswith("UNTIL="))
    end = date(now().year + YEARS_AHEAD, 12, 31)
    if until is not None:
        end = min(end, _local_day(until))
    try:
        dates = rrulestr(text, dtstart=datetime.combine(start, time()))
        found = []
        for at in dates:
            if at.date() > end:
                break
            found.append(at.date())
            if len(found) > MOST_LINES:
                raise Refused("ics_too_many", "file", most=MOST_LINES)
        else:
            # Searched to the end of time for days there are not, as 30 February: that takes seconds, so it is done once in a file.
            if len(found) < parts.get("COUNT", [MOST_LINES])[0]:
                raise _broken(line, "ics_rule")
    except (ArithmeticError, LookupError, ValueError, TypeError, AttributeError):
        raise _broken(line, "ics_rule") from None
    return found


def _days(event: Any, name: str, line: int) -> set[date]:
    """The days of all dates that a property has."""
    value = event.get(name)
    days = set()
    for one in value if isinstance(value, list) else [] if value is None else [value]:
        for found in getattr(one, "dts", [one]):
            at = found.dt[0] if isinstance(found.dt, tuple) else found.dt
            if not isinstance(at, date):
                raise _broken(line, "ics_broken_property", name=name.upper())
            try:
                days.add(_local_day(at))
            except OverflowError:
                raise _broken(line, "ics_out_of_calendar") from None
    return days


def _local_day(at: date) -> date:
    if not isinstance(at, datetime):
        return at
    return (at.astimezone(jurisdiction().zone) if at.tzinfo is not None else at).date()
