"""Shapes of clocks."""

from datetime import date
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from tejido_shared.contracts import CountedDay
from tejido_shared.fields import Strict


class ClockOut(BaseModel):
    """The legal clock of a request."""

    received_at: AwareDatetime
    effective_receipt_date: date
    term: str = Field(description="The term in words, with what it was extended by")
    article: str | None = Field(description="Its legal source")
    legal: bool = Field(description="False for a commitment of the entity, which is not the law")
    due_date: date | None = Field(description="None while the clock rests")
    overdue_at: AwareDatetime | None = Field(description="From this instant an answer is late")
    due_soon_from: date | None = None
    overdue: bool
    remaining: int | None = Field(
        None, description="Open days left: 0 is today, negative is late; none once it has stopped"
    )
    paused_since: date | None = None
    days_left: int | None = Field(None, description="Of a resting clock")
    complete_until: date | None = Field(None, description="Until when the citizen may complete the request")
    stopped_at: AwareDatetime | None = None
    on_time: bool | None = None
    days: list[CountedDay] = Field(description="The count, day by day; empty for terms of months and set dates")
    warnings: list[str] = Field(default_factory=list, description="What whoever relies on this date must know")


class RunningClock(BaseModel):
    """One of the clocks that run inside a request."""

    clock: str
    name: str = Field(description="For a person")
    status: str = Field(description="running, paused, stopped, void")
    started_at: AwareDatetime
    due_date: date | None
    overdue_at: AwareDatetime | None
    article: str | None
    legal: bool
    stopped_at: AwareDatetime | None
    on_time: bool | None


class InlineTerm(Strict):
    unit: Literal["business_days", "calendar_days", "months"]
    n: int = Field(ge=1, le=1000)
    extension_max_added: int | None = Field(None, ge=1, le=1000)
    copies_within: int | None = Field(None, ge=1, le=100)
    law: str = Field("", max_length=300)


class InlineCalendar(Strict):
    closed: list[date | dict[str, str]] = Field(max_length=5000, description="Days, or {day, name, act}")
    law: str = Field("", max_length=300)


class PreviewEvent(Strict):
    """An act: pause, resume, extend {days}, retype {to}, transfer {scope}, holiday_added and holiday_removed {dates}, notified."""

    kind: Literal["pause", "resume", "extend", "retype", "transfer", "holiday_added", "holiday_removed", "notified"]
    at: AwareDatetime
    days: int | None = Field(None, ge=1, le=1000)
    to: str | None = Field(None, max_length=100, description="Code of a type of the jurisdiction, or of an inline term")
    by_supervisor: bool = False
    scope: Literal["internal", "external"] | None = None
    receiver_received_at: AwareDatetime | None = None
    dates: list[date] | None = Field(None, max_length=400)


class PreviewIn(Strict):
    """A question: by the jurisdiction's law for a `request_type`, or with `term`, `calendar` and `policy` of the asker's own."""

    received_at: AwareDatetime
    request_type: str | None = Field(None, max_length=100)
    term: InlineTerm | None = None
    terms: dict[str, InlineTerm] = Field(default_factory=dict, max_length=50, description="Others, for `retype`")
    calendar: InlineCalendar | None = Field(None, description="The municipality's in force when left out")
    policy: dict[str, str] = Field(
        default_factory=dict,
        max_length=10,
        description="receipt_rule, cutoff, weekdays, overdue, office_close; the municipality's when left out",
    )
    timezone: str | None = Field(None, max_length=60)
    extra_closures: list[date] = Field(
        default_factory=list, max_length=400, description="What if these days were closed too"
    )
    events: list[PreviewEvent] = Field(default_factory=list, max_length=100)
    query_at: list[AwareDatetime] = Field(default_factory=list, max_length=50)


class PreviewOut(BaseModel):
    """The answer: the fields of the worked cases, the count day by day, and the same in words."""

    computed: dict[str, Any]
    rejected: dict[int, str] = Field(description="Why an event, by its place in `events`, is not admitted")
    days: list[CountedDay]
    summary: str
    text: list[str]
    warnings: list[str] = Field(default_factory=list, description="What whoever relies on this date must know")
