"""Shapes of the calendar."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AliasChoices, AliasPath, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from tejido_shared.fields import Line, Strict
from tejido_shared.pages import PageQuery

Scope = Literal["country", "province", "municipality"]


class ClosureIn(Strict):
    """Days on which the offices are closed, both ends included, and the legal act that says so."""

    starts_on: date
    ends_on: date
    name: Line
    act: Line = Field(description="The legal act with its number")
    scope: Scope
    suspends_terms: bool = Field(
        description="Whether these days do not count in terms of days. A closed office alone does not suspend terms: the act says"
    )
    open_for_filing: bool = Field(description="Whether requests are received on these days")
    except_types: list[str] = Field(default_factory=list, description="Types of request whose terms run on")
    declared_at: date | None = Field(None, description="The day the act became known")


class ClosureOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    starts_on: date
    ends_on: date
    name: str
    act: str
    scope: Scope
    suspends_terms: bool
    open_for_filing: bool
    except_types: list[str]
    declared_at: date | None
    since: int = Field(description="The calendar version that brought it")
    until: int | None = Field(description="The calendar version that withdrew it")


class ClosureQuery(PageQuery):
    version: int | None = Field(None, ge=1, description="Of the calendar; the one in force when absent")
    from_day: date | None = Field(None, alias="from", description="Closures that end on this day or later")
    to_day: date | None = Field(None, alias="to", description="Closures that begin on this day or earlier")
    scope: Scope | None = None


class VersionOut(BaseModel):
    """A state of the calendar. Version 1 is the jurisdiction pack's."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    at: AwareDatetime
    author: str | None = Field(description="Subject of the account that confirmed it; none for the pack's")
    note: str
    fingerprint: str


class ClosedBy(BaseModel):
    """A closure of the day asked for."""

    name: str
    act: str
    scope: Scope
    suspends_terms: bool
    applies: bool = Field(description="Whether it keeps this day out of the count for the type asked for")


class DayOut(BaseModel):
    """Whether a day counts."""

    day: date
    request_type: str | None
    version: int
    open: bool = Field(description="Whether it counts in terms of days")
    why: str = Field(description="For a person")
    works: bool = Field(description="Whether it is a working day of the week")
    open_for_filing: bool = Field(description="Whether no closure forbids to receive requests")
    closures: list[ClosedBy]
    warnings: list[str] = Field(description="year_not_confirmed")


class Withdrawal(Strict):
    closure: UUID = Field(description="A closure in force")
    act: Line = Field(description="The legal act that withdraws it, or why it was wrong")


class ChangeIn(Strict):
    """Closures to declare and to withdraw. To correct one, withdraw it and declare it anew."""

    declare: list[ClosureIn] = Field(default_factory=list, max_length=200)
    withdraw: list[Withdrawal] = Field(default_factory=list, max_length=200)


class Confirmation(Strict):
    note: Line | None = Field(None, description="Of the new version; the acts when absent")


class Preview(BaseModel):
    """What a change would do to open requests, counted when it was asked for."""

    looked_at: int = Field(description="Open requests whose clock runs over a changed day")
    moved: int
    later: int
    earlier: int
    recounted: int = Field(0, description="Keep their date; their count day by day is told anew")
    kept: int = Field(
        0, description="Stay as they are: a date to complete by that a citizen was told is not brought forward"
    )
    not_counted: int = Field(0, description="Could not be counted: the log says why")
    overdue_at_once: int = Field(description="In time by the present calendar, late by the new one")
    no_longer_overdue: int
    by_days: dict[int, int] = Field(
        description="How many requests move by how many days of the calendar; negative is earlier"
    )
    by_type: dict[str, int]
    by_office: dict[str, int]
    examples: list[dict[str, Any]] = Field(description="number, request_type, office, old, new")


class ChangeOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    status: str = Field(
        description="draft, confirmed (requests are being re-dated), done, incomplete (done but for those in `left`), dropped"
    )
    created_at: AwareDatetime
    created_by: str
    declared: list[dict[str, Any]]
    withdrawn: list[dict[str, Any]]
    based_on: int = Field(description="The calendar version the preview was computed on")
    preview: Annotated[Preview | None, BeforeValidator(lambda found: found or None)] = Field(
        description="None once something was added to the draft: to be asked for anew"
    )
    confirmed_at: AwareDatetime | None
    confirmed_by: str | None
    calendar_version: int | None = Field(description="The version it made")
    seen: int = Field(description="Requests looked at so far, of about preview.looked_at")
    moved: int = Field(description="Requests re-dated so far")
    left: list[UUID] = Field(
        default_factory=list,
        validation_alias=AliasChoices("left", AliasPath("preview", "left")),
        description="Requests that could not be counted and stay as they were",
    )
    done_at: AwareDatetime | None


class ChangeQuery(PageQuery):
    status: Literal["draft", "confirmed", "done", "incomplete", "dropped"] | None = None


class ProposalsIn(Strict):
    year: int = Field(ge=2000, le=2100)
    subdivision: Line | None = Field(None, description="As `holidays` calls it; else the one of the pack's code")


class ProposalOut(BaseModel):
    """A closure somebody proposes. It closes nothing until a person accepts it and confirms the change it went into."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    source: str = Field(description="holidays and its version, icalendar, pack")
    year: int
    starts_on: date
    ends_on: date
    name: str
    scope: Scope
    status: str = Field(description="pending, accepted, rejected")
    decided_at: AwareDatetime | None
    decided_by: str | None
    reason: str | None


class ProposalsOut(BaseModel):
    pending: list[ProposalOut] = Field(description="What waits to be decided for this year")
    not_in_library: list[ClosureOut] = Field(description="Closures in force that the library does not have")


class ProposalQuery(PageQuery):
    year: int | None = Field(None, ge=2000, le=2100)
    status: Literal["pending", "accepted", "rejected"] | None = None
    source: Line | None = None


class AcceptIn(Strict):
    """What the line does not say and the official publication does."""

    act: Line
    suspends_terms: bool
    open_for_filing: bool
    except_types: list[str] = Field(default_factory=list)
    declared_at: date | None = None
    name: Line | None = Field(None, description="Instead of the proposed one")
    scope: Scope | None = Field(None, description="Instead of the proposed one")
    change: UUID | None = Field(None, description="The draft it goes into; a new one when absent")


class RejectIn(Strict):
    reason: Line


class ImportOut(BaseModel):
    read: int = Field(description="Occurrences in the file")
    proposed: int = Field(description="New proposals: not closed yet and not proposed before")


class YearOut(BaseModel):
    """A year whose closures a person said to be complete."""

    model_config = ConfigDict(from_attributes=True)

    year: int
    confirmed_at: AwareDatetime
    confirmed_by: str | None = Field(description="None for those of the pack")


class WarningOut(BaseModel):
    code: str
    text: str
    years: list[int]
