"""Worked cases: the JSON that states calendars, terms, policies, acts and the dates that must come out.

The same shape goes in at `POST /v1/deadlines/preview` and at `./tejido deadlines FILE`. A file holds `terms` {code: {unit, n,
extension_max_added, law, copies_within}}, `calendars` {name: {closed: [day, or {day, name, act}],
law}}, `default_policy` and `vectors`. Of the terms,
`<place>.clarify_request`, `.month1` and `.transfer_out` say how long the office may ask, the citizen complete and a transfer take for
every rule whose code starts with `<place>.`. Where a term has no `copies_within`, it is read from its `law` ("copies within 3 days").
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from tejido_shared.deadlines.calendar import FIRST, LAST, Calendar, Closed
from tejido_shared.deadlines.counting import (
    Act,
    ClosuresAdded,
    ClosuresRemoved,
    Deadline,
    Extend,
    Pause,
    Policy,
    Resume,
    Retype,
    Stop,
    Term,
    Transfer,
    deadline,
)

_POLICY = ("receipt_rule", "cutoff", "weekdays", "overdue", "office_close")
_LENGTH = {"business_days": "term_days", "calendar_days": "term_calendar_days", "months": "term_months"}


T = TypeVar("T")


class Misshapen(ValueError):  # noqa: N818
    """The file does not have the shape: `key` says where (`events[2].at`), `missing` whether nothing is there at all."""

    def __init__(self, key: str, *, missing: bool) -> None:
        super().__init__(f"{key} is missing" if missing else f"{key} cannot be read")
        self.key = key
        self.missing = missing


def _read(given: Any, key: str, reading: Callable[[Any], T], within: str = "") -> T:
    """What is under `key`, read; raises `Misshapen` with the key's whole path where it is missing or cannot be."""
    try:
        return reading(given[key])
    except Misshapen as inner:
        raise Misshapen(f"{within}{key}.{inner.key}", missing=inner.missing) from None
    except KeyError as error:
        raise Misshapen(within + key, missing=error.args == (key,) and key not in given) from None
    except (TypeError, ValueError, AttributeError, OSError):  # OSError: a zone that is a directory
        raise Misshapen(within + key, missing=False) from None


class Cases:
    """A file of cases, read. `ready` are calendars that need not be read from it.

    Raises `Misshapen` for a file that does not have the shape, at once or when that case is computed.
    """

    def __init__(self, file: Any, ready: Mapping[str, Calendar] | None = None) -> None:
        self._file = file
        self._ready = ready or {}
        self._cases = _read(file, "vectors", _list)
        self._terms: dict[str, Term] = {}
        self._calendars: dict[tuple[str, str, tuple[str, ...]], Calendar] = {}

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._cases)

    def computed(self, case: Mapping[str, Any], found: Deadline | None = None) -> dict[str, Any]:
        """What comes out for one case, in the shape of its `expected`; `found` is its deadline if that is known already."""
        asked_at = _read(case, "query_at", _instants) if "query_at" in case else []
        return fields(found or self.deadline(case), asked_at)

    def deadline(self, case: Mapping[str, Any]) -> Deadline:
        term = self.term(_read(case, "rule", str))
        policy, weekdays = self.policy(case)
        return deadline(
            self.received_at(case),
            term,
            self._calendar(case, weekdays),
            self.zone(case),
            policy,
            self.acts(case),
        )

    def received_at(self, case: Mapping[str, Any]) -> datetime:
        return _read(case, "received_at", _instant)

    def zone(self, case: Mapping[str, Any]) -> ZoneInfo:
        return _read(case, "timezone", ZoneInfo)

    def term(self, code: str) -> Term:
        if code not in self._terms:
            self._terms[code] = _read(self._file, "terms", lambda terms: _read(terms, code, _term))
        return self._terms[code]

    def rule(self, case: Mapping[str, Any], found: Deadline) -> str:
        """The code of the term that was counted: of the last type that the request was found to be."""
        code = str(case["rule"])
        events = case.get("events", ())
        for place in sorted(range(len(events)), key=lambda place: datetime.fromisoformat(events[place]["at"])):
            if events[place]["kind"] == "retype" and place not in found.rejected:
                code = str(events[place]["to"])
        return code

    def law(self, case: Mapping[str, Any], found: Deadline) -> str:
        """What the file says of the law of the term that was counted."""
        return str(self._file["terms"][self.rule(case, found)].get("law", ""))

    def policy(self, case: Mapping[str, Any]) -> tuple[Policy, str]:
        """How the case is to be read, and the days of the week that are worked."""
        rules: dict[str, Any] = {}
        for given, name in ((self._file, "default_policy"), (case, "policy")):
            rules |= _read(given, name, dict) if name in given else {}
        place = _read(case, "rule", str).partition(".")[0]
        for name in rules:
            if name not in _POLICY:
                raise Misshapen(f"policy.{name}", missing=False)
        ask, complete, transfer = (
            self.term(f"{place}.{name}") if f"{place}.{name}" in self._file["terms"] else None
            for name in ("clarify_request", "month1", "transfer_out")
        )
        # Each read on its own, so that a refusal names the one that is wrong.
        _read(rules, "receipt_rule", Policy, "policy.")
        _read(rules, "overdue", lambda overdue: Policy(overdue=overdue), "policy.")
        policy = Policy(
            rules["receipt_rule"],
            _read(rules, "cutoff", _hour, "policy."),
            rules["overdue"],
            _read(rules, "office_close", _hour, "policy."),
            ask.n if ask else None,
            complete.n if complete and complete.unit == "months" else None,
            transfer.n if transfer else None,
        )
        return policy, _read(rules, "weekdays", lambda weekdays: Calendar(_text(weekdays), {}), "policy.").weekdays

    def _calendar(self, case: Mapping[str, Any], weekdays: str) -> Calendar:
        extra = _read(case, "extra_closures", _closed) if "extra_closures" in case else {}
        key = (_read(case, "calendar", str), weekdays, tuple(map(str, sorted(extra))))
        if key[0] in self._ready:
            calendar = self._ready[key[0]]
            if calendar.weekdays != weekdays:
                calendar = Calendar(weekdays, calendar.closures)
            return calendar.closing(extra) if extra else calendar
        if key not in self._calendars:
            closed = _read(self._file, "calendars", lambda all_: _read(all_, key[0], _calendar_days))
            self._calendars[key] = Calendar(weekdays, {**closed, **extra})
        return self._calendars[key]

    def acts(self, case: Mapping[str, Any]) -> list[Act]:
        if "events" not in case:
            return []
        events = _read(case, "events", _list)
        return [self._act(event, f"events[{place}].") for place, event in enumerate(events)]

    def _act(self, event: Any, here: str) -> Act:
        at = _read(event, "at", _instant, here)
        match _read(event, "kind", str, here):
            case "pause":
                return Pause(at)
            case "resume":
                return Resume(at)
            case "extend":
                return Extend(at, _read(event, "days", _whole, here))
            case "retype":
                return Retype(at, self.term(_read(event, "to", str, here)), event.get("by_supervisor", False))
            case "transfer":
                internal = _read(event, "scope", {"internal": True, "external": False}.__getitem__, here)
                received = event.get("receiver_received_at")
                return Transfer(
                    at, internal, _read(event, "receiver_received_at", _instant, here) if received else None
                )
            case "holiday_added":
                return ClosuresAdded(at, _read(event, "dates", _closed, here))
            case "holiday_removed":
                return ClosuresRemoved(at, frozenset(_read(event, "dates", _closed, here)))
            case "notified":
                return Stop(at)
        raise Misshapen(f"{here}kind", missing=False)


def _list(given: Any) -> list[Mapping[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise TypeError
    return given


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError
    return given


def _hour(given: Any) -> time:
    """A time of day by the clock on the wall, so without an offset."""
    hour = time.fromisoformat(given)
    if hour.tzinfo is not None:
        raise ValueError
    return hour


def _whole(given: Any) -> int:
    if type(given) is not int:
        raise TypeError
    return given


def _instant(given: Any) -> datetime:
    at = datetime.fromisoformat(given)
    if at.tzinfo is None or not FIRST.year < at.year < LAST.year:
        raise ValueError
    return at


def _instants(given: Any) -> list[datetime]:
    return [_instant(one) for one in given]


def _term(given: Any) -> Term:
    """Where a term has no `copies_within`, it is read from its `law`."""
    unit = _read(given, "unit", lambda unit: Term(unit, 1).unit)
    copies = given.get("copies_within")
    if copies is None and (said := re.search(r"copies within (\d+) days", given.get("law", ""))):
        copies = int(said[1])
    most = given.get("extension_max_added")
    return Term(
        unit,
        _read(given, "n", lambda n: Term(unit, _whole(n)).n),
        None if copies is None else _whole(copies),
        None if most is None else _whole(most),
    )


def _calendar_days(given: Any) -> dict[date, Closed]:
    law = given.get("law", "")
    return {day: Closed(why.name, why.act or law) for day, why in _read(given, "closed", _closed).items()}


def _closed(days: Any) -> dict[date, Closed]:
    if not isinstance(days, list):
        raise TypeError
    closed = {}
    for day in days:
        if isinstance(day, dict):
            closed[date.fromisoformat(day["day"])] = Closed(str(day.get("name", "")), str(day.get("act", "")))
        else:
            closed[date.fromisoformat(day)] = Closed("", "")
    return closed


def fields(found: Deadline, asked_at: list[datetime]) -> dict[str, Any]:
    """A deadline in the shape of `expected`; days remaining at each instant asked for. What there is none of is left out."""
    if found.term is None:
        raise ValueError("nothing is counted to a set date")
    paused = bool(found.frozen or found.citizen_due_dates)
    out: dict[str, Any] = {
        "rejected_events": sorted(found.rejected),
        "flags": ["art17_window_exceeded"] if found.asked_late else [],
        _LENGTH[found.term.unit]: found.length,
        "effective_receipt_date": found.effective_receipt_date,
        "first_counted_day": found.first_counted_day,
        "nominal_date": found.nominal_date,
        "citizen_due_dates": list(found.citizen_due_dates),
        "due_date": found.due_date,
        "overdue_at": found.overdue_at,
        "due_soon_from": found.due_soon_from if found.term.unit == "business_days" and not paused else None,
        "deliver_copies_by": found.deliver_copies_by,
        "days_left": found.days_left,
        "remaining_business_days_at": [
            {"at": at, "remaining_business_days": found.remaining(_local_day(at, found))} for at in asked_at
        ],
    }
    if found.transferred and found.transferred.receiver_due_date:
        out["transfer"] = {
            "transfer_due_date": found.transferred.due_date,
            "on_time": found.transferred.on_time,
            "receiver_first_counted_day": found.transferred.receiver_first_counted_day,
            "receiver_due_date": found.transferred.receiver_due_date,
            "receiver_overdue_at": found.transferred.receiver_overdue_at,
        }
    return {name: _plain(value) for name, value in out.items() if name == "rejected_events" or value not in (None, [])}


def _local_day(at: datetime, found: Deadline) -> date:
    return at.astimezone(found.overdue_at.tzinfo if found.overdue_at else None).date()


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def differences(computed: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """The fields in which the two differ: what one has and the other has not counts as a difference."""
    return sorted(name for name in computed.keys() | expected.keys() if computed.get(name) != expected.get(name))
