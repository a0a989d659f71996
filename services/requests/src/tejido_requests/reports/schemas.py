"""Shapes of figures and reports."""

from datetime import date
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from tejido_shared.deadlines.calendar import FIRST, LAST
from tejido_shared.refusals import Refused

Dimension = Literal["type", "office", "channel", "area", "month"]
Basis = Literal["received", "closed"]


class PeriodQuery(BaseModel):
    """Days of the municipality, both included."""

    model_config = ConfigDict(extra="forbid")

    start: date = Field(alias="from", ge=FIRST, le=LAST)
    end: date = Field(alias="to", ge=FIRST, le=LAST)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start > self.end:
            raise Refused("period_backwards", "query.to")
        return self


class FiguresQuery(PeriodQuery):
    of: Basis = Field(
        "received",
        description="`received`: the requests received in the period, as they stood at its end. `closed`: those closed in the period, "
        "and all that was open at its end",
    )
    by: list[Dimension] = Field(
        [],
        max_length=3,
        description="Up to three. A month is that of receipt or, of what was closed, of closing, and then none of what is open",
    )


class AgeBand(BaseModel):
    """What was open at the end and had been received `from_days` to `to_days` business days before, both included."""

    from_days: int
    to_days: int | None = Field(description="None: or more")
    open: int = Field(description="Not overdue: within its term, or paused")
    overdue: int


class Figures(BaseModel):
    """Figures of some requests over a period. Days are business days of each request's own calendar, pauses included.

    `received`, the backlog and `ageing` are of all requests; everything else is of those that were asked for with `of`.
    """

    received: int = Field(description="Received in the period; the parts of a split request, when it was split")
    on_time: int = Field(description="Answer notified in time")
    late: int = Field(description="Answer notified out of time")
    open: int = Field(description="Open at the end of the period and within the term")
    overdue: int = Field(description="Open at the end of the period and past the term")
    paused: int = Field(description="Open at the end of the period, the clock resting")
    withdrawn: int
    transferred: int = Field(description="To another authority")
    split: int = Field(description="Closed because its parts are requests of their own, which count too")
    merged: int = Field(description="Closed because another request answers it")
    extended: int = Field(description="Whose term was extended")
    priority: int = Field(description="With priority attention")
    disputes: int = Field(description="That dispute the answer to another request")
    denied: int = Field(description="Answered with a refusal")
    accepted_by_silence: int = Field(
        description="Whose term passed in the period unanswered, where the law then grants them"
    )
    on_time_rate: float | None = Field(
        description="on_time / (on_time + late + overdue), 0 to 1; None if there are none"
    )
    first_answer_days: float | None = Field(description="Average to the first answer, a partial one too")
    first_answer_median: float | None
    final_answer_days: float | None = Field(description="Average to the notified final answer")
    final_answer_median: float | None
    ratings: int
    stars: float | None = Field(description="Average of the ratings, 1 to 5")
    open_at_start: int | None = Field(description="Backlog when the period began; None by month")
    closed: int | None = Field(description="Closed in the period, however; None by month")
    open_at_end: int | None = Field(description="Backlog when it ended; None by month")
    ageing: list[AgeBand]


class Group(Figures):
    """The figures of one combination of what was grouped by; None where a request has no such thing, or was not grouped by it."""

    type: str | None = None
    office: str | None = None
    channel: str | None = None
    area: str | None = None
    month: str | None = Field(None, description="2026-11")


class FiguresOut(BaseModel):
    start: date = Field(alias="from")
    end: date = Field(alias="to")
    of: Basis
    as_of: AwareDatetime = Field(
        description="The end of the period, or now if it has not ended: states are those of this instant"
    )
    by: list[Dimension]
    offices: list[str] | None = Field(description="The offices it is limited to; None: all")
    total: Figures
    groups: list[Group]

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class ActsOut(BaseModel):
    """Acts of the period, whenever the request was received."""

    extensions: int
    extension_days: float | None = Field(description="Average of those in business days")
    transfers: int
    transfers_on_time: int
    accepted_by_silence: int
    withdrawals: int
    tacit_withdrawals: int


class InformationOut(BaseModel):
    """Requests for public information (Ley 1712/2014)."""

    types: list[str] = Field(description="Codes of the types that are")
    received: int
    transferred: int
    denied: int
    response_days: float | None = Field(description="Average business days to the notified answer")


class PqrsdOut(BaseModel):
    """The periodic report. Figures are of what was closed in the period and what was open at its end."""

    start: date = Field(alias="from")
    end: date = Field(alias="to")
    as_of: AwareDatetime
    offices: list[str] | None = Field(description="The offices it is limited to; None: all")
    total: Figures
    by_type: list[Group]
    by_office: list[Group]
    by_channel: list[Group]
    by_area: list[Group]
    acts: ActsOut
    information: InformationOut

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


# Open data


class YearQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    year: int = Field(ge=FIRST.year, le=LAST.year, description="Of receipt")


class OpenGroup(BaseModel):
    value: str = Field(description="Code, `otros`, or empty where a request has none")
    received: int
    on_time: int
    late: int
    open: int
    overdue: int
    paused: int
    withdrawn: int
    transferred: int
    on_time_rate: float | None
    final_answer_days: float | None


class OpenFiguresOut(BaseModel):
    """Requests received in a year, as they stood at its end or, in the current year, when this was made."""

    year: int
    as_of: AwareDatetime
    caveat: str
    total: OpenGroup
    by: dict[Dimension, list[OpenGroup]]


class ColumnOut(BaseModel):
    name: str
    description: str


class ValueOut(BaseModel):
    code: str
    name: str


class DictionaryOut(BaseModel):
    """What the open data mean."""

    title: str
    caveats: list[str]
    columns: list[ColumnOut]
    figures: list[ColumnOut]
    values: dict[str, list[ValueOut]]
