"""A deadline told to the person who waits for it: when it is due and how that was counted.

What is said comes from the rule that applied and nothing else: no law is named that was not given, and what the entity has only
promised is never called one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_interval, format_skeleton

from tejido_shared import contracts, i18n
from tejido_shared.deadlines import Act, CountedDay, Deadline, Retype, Unit

PACKAGE = "tejido_requests"


@dataclass(frozen=True)
class Basis:
    """The rule that gave the term: where it is written, and whether that is a law or the entity's own promise."""

    article: str
    kind: Literal["legal", "service_commitment"]


def lines(
    found: Deadline,
    basis: Basis | None,
    received_at: datetime,
    zone: ZoneInfo,
    language: str,
    acts: Sequence[Act] = (),
    until: date | None = None,
) -> list[str]:
    """The whole derivation, a line for each step and each day, to the due date or `until`.

    `acts` as they were given to `deadline`: without them, what the law did not admit goes unsaid. `basis` is none where no rule was
    named, and for a date that the asking authority set.
    """
    return list(_Words(found, basis, zone, language).lines(received_at, acts, until))


def summary(found: Deadline, basis: Basis | None, today: date, zone: ZoneInfo, language: str) -> str:
    """Where the count stands on `today`, and which days it has left out; those left out in a row for one reason go together."""
    return " ".join(_Words(found, basis, zone, language).summary(today))


def days(found: Deadline, language: str) -> list[contracts.CountedDay]:
    """Each day of the count with its ordinal, or the reason why it does not count."""
    said = _Words(found, None, ZoneInfo("UTC"), language)
    return [contracts.CountedDay(day=one.day, ordinal=one.ordinal, why_not=said.why_not(one)) for one in found.days()]


class _Words:
    def __init__(self, found: Deadline, basis: Basis | None, zone: ZoneInfo, language: str) -> None:
        self.found = found
        self.basis = basis
        self.zone = zone
        self.language = language

    def say(self, code: str, **params: object) -> str:
        return i18n.text(PACKAGE, f"words.{code}", self.language, **params)

    def day(self, day: date) -> str:
        said = format_date(day, "full", self.language)
        return (
            said.replace(",", "", 1) if self.language == "es" else said
        )  # no comma between weekday and day in Spanish

    def length(self, unit: Unit, n: int) -> str:
        return self.say(f"length.{unit}.{'one' if n == 1 else 'many'}", n=n)

    def lines(self, received_at: datetime, acts: Sequence[Act], until: date | None) -> Iterator[str]:
        found = self.found
        yield from self._receipt(received_at)
        yield self._term()
        for place, act in enumerate(acts):
            if isinstance(act, Retype) and place not in found.rejected:
                yield self.say("retyped", day=self.day(act.at.astimezone(self.zone).date()))
        if found.term is not None and found.added:
            total = self.length(found.term.unit, found.term.n + found.added)
            yield self.say("extended", added=self.length(found.term.unit, found.added), total=total)
        yield from self._count(until)
        if found.asked_late:
            yield self.say("asked_late")
        for citizen_due in found.citizen_due_dates:
            yield self.say("citizen_due", day=self.day(citizen_due))
        for place, why in sorted(found.rejected.items()):
            if place < len(acts):
                act = acts[place]
                what = self.say(f"act.{type(act).__name__.lower()}", day=self.day(act.at.astimezone(self.zone).date()))
                yield self.say("rejected", what=what, why=self.say(f"why.{why}"))
        yield self._due()
        yield from self._after()

    def _receipt(self, received_at: datetime) -> Iterator[str]:
        local = received_at.astimezone(self.zone)
        yield self.say("received", day=self.day(local.date()), hour=f"{local:%H:%M}")
        taken = self.found.effective_receipt_date
        if taken == local.date():
            return
        if self.found.calendar.is_open(local.date()):
            yield self.say("rolled_after_hours", day=self.day(taken))
        else:
            yield self.say("rolled_closed", why=self._closed(local.date()), day=self.day(taken))

    def _term(self) -> str:
        term = self.found.term
        if term is None:
            return self.say("term.set")
        if self.basis is None:
            return self.say("term.plain", length=self.length(term.unit, term.n))
        return self.say(f"term.{self.basis.kind}", length=self.length(term.unit, term.n), article=self.basis.article)

    def _count(self, until: date | None) -> Iterator[str]:
        found, term = self.found, self.found.term
        if term is None:
            return
        if term.unit == "months":
            yield from self._months()
        elif found.first_counted_day is not None:
            yield self.say(f"first.{term.unit}", day=self.day(found.first_counted_day))
        if until is None and found.paused:
            until = found.asked_on[-1]
        for one in found.days(until):
            why = self.why_not(one)
            if why is None:
                within = found.due_date is None or one.day <= found.due_date
                code = "day.counted" if within else "day.beyond"
                yield self.say(code, day=self.day(one.day), ordinal=one.ordinal, n=found.length)
            else:
                yield self.say("day.left_out", day=self.day(one.day), why=why)
        for (after, _), asked in zip(found.frozen, found.asked_on, strict=True):
            if after < asked and term.unit != "months":
                yield self.say("pause.on_last_day", day=self.day(asked))

    def _months(self) -> Iterator[str]:
        found = self.found
        nominal = found.nominal_date
        if nominal is None or found.length is None:
            return
        length = self.length("months", found.length)
        received = self.day(found.effective_receipt_date)
        yield self.say("first.months", length=length, received=received, nominal=self.day(nominal))
        for (_, until), asked, end in zip(found.frozen, found.asked_on, found.months_end(), strict=False):
            if until is not None:
                yield self.say("pause.between", asked=self.day(asked), until=self.day(until), end=self.day(end))
                nominal = end
        if found.due_date is not None and found.due_date != nominal:
            yield self.say("months_rolled", day=self.day(nominal), why=self._closed(nominal))

    def why_not(self, one: CountedDay) -> str | None:
        if one.ordinal is not None:
            return None
        if one.paused_since is not None:
            return self.say("why_not.paused", day=format_date(one.paused_since, "long", self.language))
        return self._closed(one.day)

    def _closed(self, day: date) -> str:
        """Why the office does not work on this day. A closure on a weekend has closed nothing."""
        if self.found.calendar.weekdays[day.weekday()] == "0":
            return self.say("why_not.weekend" if day.weekday() >= 5 else "why_not.not_worked")
        closure = self.found.calendar.closures.get(day)
        if closure is None or not (closure.name or closure.act):
            return self.say("why_not.closed")
        if not closure.name:
            return self.say("why_not.closed_by", act=closure.act)
        return f"{closure.name} ({closure.act})" if closure.act else closure.name

    def _due(self) -> str:
        found = self.found
        if found.due_date is None and found.stopped_at is not None:
            return self.say("was_paused", day=self.day(found.asked_on[-1]))
        if found.due_date is None:
            left = self.length(self._left_in(), found.days_left or 0)
            return self.say("paused", day=self.day(found.asked_on[-1]), left=left)
        return self.say(
            "due" if found.stopped_at is None else "was_due", day=self.day(found.due_date), until=self._until()
        )

    def _left_in(self) -> Unit:
        term = self.found.term
        return "business_days" if term is None or term.unit == "business_days" else "calendar_days"

    def _until(self) -> str:
        overdue_at = self.found.overdue_at
        if overdue_at is None or overdue_at.astimezone(self.zone).date() != self.found.due_date:
            return self.say("until.midnight")
        return self.say("until.hour", hour=f"{overdue_at.astimezone(self.zone):%H:%M}")

    def _after(self) -> Iterator[str]:
        found = self.found
        sent = found.transferred
        if found.stopped_at is not None:
            day = self.day(found.stopped_at.astimezone(self.zone).date())
            if sent is not None:
                yield self.say("transferred", day=day)
            else:
                yield self.say("stopped.on_time" if found.on_time else "stopped.late", day=day)
        if sent is not None and sent.due_date is not None:
            yield self.say("transfer.on_time" if sent.on_time else "transfer.late", day=self.day(sent.due_date))
        if sent is not None and sent.receiver_due_date is not None:
            yield self.say("transfer.receiver", day=self.day(sent.receiver_due_date))
        if found.deliver_copies_by is not None and not (found.stopped_at is not None and found.on_time):
            yield self.say("copies", day=self.day(found.deliver_copies_by))

    def summary(self, today: date) -> Iterator[str]:
        yield self._stands(today)
        if self.found.stopped_at is not None:
            return
        left_out = [f"{self._span(days)}, {why}" for days, why in self._left_out()]
        if left_out:
            yield self.say("left_out", days="; ".join(left_out))

    def _stands(self, today: date) -> str:
        found = self.found
        if found.stopped_at is not None or found.due_date is None:
            return next(self._after()) if found.stopped_at is not None else self._due()
        day, until = format_date(found.due_date, "long", self.language), self._until()
        if today > found.due_date:
            return self.say("stands.late", day=day)
        if found.term is None or found.term.unit == "months":
            return self.say("stands.due", day=day, until=until)
        counted = sum(one.ordinal is not None for one in found.days(min(today, found.due_date)))
        if not counted:
            first = format_date(found.first_counted_day or found.due_date, "long", self.language)
            length = self.length(found.term.unit, found.term.n + found.added)
            return self.say("stands.not_begun", length=length, first=first, day=day, until=until)
        return self.say("stands.counting", ordinal=counted, n=found.length, day=day, until=until)

    def _left_out(self) -> Iterator[tuple[list[date], str]]:
        """Runs of days one after the other that are left out for the same reason."""
        days: list[date] = []
        reason: str | None = None
        for one in self.found.days():
            why = self._paused(one.day) or self.why_not(one)
            if days and why != reason and reason is not None:
                yield days, reason
                days = []
            if why is not None:
                days.append(one.day)
            reason = why
        if days and reason is not None:
            yield days, reason

    def _paused(self, day: date) -> str | None:
        for after, until in self.found.frozen:
            if after < day and (until is None or day <= until):
                return self.say("why_not.pause")
        return None

    def _span(self, days: list[date]) -> str:
        if len(days) == 1:
            return format_skeleton("MMMMd", days[0], locale=self.language)
        return format_interval(days[0], days[-1], "MMMMd", locale=self.language)
