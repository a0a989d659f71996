"""Shapes of lists and searches."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from tejido_shared.fields import Line, Strict
from tejido_shared.pages import PageQuery

Status = Literal["received", "paused", "answered", "notified", "withdrawn", "transferred", "split", "merged"]
Sort = Literal["due_date", "-due_date", "received_at", "-received_at", "closed_at", "-closed_at"]
Point = Annotated[str, StringConstraints(max_length=50, pattern=r"^-?[0-9]{1,2}(\.[0-9]+)?,-?[0-9]{1,3}(\.[0-9]+)?$")]


class RequestSummary(BaseModel):
    """A request in a list: no personal data."""

    id: UUID
    version: int
    number: str
    request_type: str
    office: str
    channel: str
    verbal: bool
    status: str
    received_at: AwareDatetime
    due_date: date | None = Field(description="None while the clock rests")
    assignee: str | None = None
    priority: bool = False
    overdue: bool = Field(description="Past its due instant and not ended")
    on_time: bool | None = Field(None, description="The outcome, once the clock has stopped")


class RequestFilter(Strict):
    """Which requests. Of a filter that may be repeated one value must fit; all filters must. Days are the municipality's."""

    text: Annotated[
        Line | None,
        Field(
            description="All these words, whatever their accents and endings, in what was asked; or a receipt number, whole or without "
            "prefix, year, zeros or check digits. For officers a petitioner's name or identification too, but only in a body and in "
            "saved views, never in an address"
        ),
    ] = None
    status: list[Status] = Field([], max_length=8)
    open: bool | None = Field(None, description="Not ended yet: received, paused or answered but not notified")
    paused: bool | None = None
    office: list[Line] = Field([], max_length=50)
    request_type: list[Line] = Field([], max_length=50)
    channel: list[Line] = Field([], max_length=50)
    area: list[Line] = Field([], max_length=100)
    assignee: Line | None = Field(None, description="Subject of an officer's account, `me`, or `none`")
    overdue: bool | None = Field(None, description="Past its due instant and not ended")
    due_today: bool | None = None
    due_within: int | None = Field(
        None, ge=0, le=250, description="Open, not overdue, and due today or within so many open days from today"
    )
    due_from: date | None = None
    due_until: date | None = Field(None, description="Due on this day or before")
    on_time: bool | None = Field(None, description="The outcome, of those whose clock has stopped")
    received_from: date | None = None
    received_until: date | None = None
    closed_from: date | None = None
    closed_until: date | None = None
    extended: bool | None = None
    withdrawal_proposed: bool | None = Field(
        None, description="The citizen's month to complete it has passed: tacit withdrawal may be decided"
    )
    priority: bool | None = None
    anonymous: bool | None = None
    confidential: bool | None = None
    organization_id: UUID | None = Field(None, description="Never finds those whose petitioner is confidential")
    project_id: UUID | None = None
    parent_id: UUID | None = Field(None, description="The children of this request")
    has_children: bool | None = None
    near: Point | None = Field(None, description="Latitude and longitude (WGS 84), e.g. 4.6097,-74.0817")
    radius: int = Field(500, ge=1, le=50_000, description="Metres around `near`")


class ViewQuery(RequestFilter):
    """What a saved view keeps: filters and order."""

    sort: Sort = Field("due_date", description="What has no such date comes last, or first with `-`")


class RequestListed(RequestSummary):
    """A request in the list of those who work on it."""

    subject: str = Field(description="What is asked, its beginning")


class RequestQuery(ViewQuery, PageQuery):
    """Filters and order of the list of requests."""


class ExportQuery(ViewQuery):
    """What to take out with personal data."""

    reason: Line = Field(description="Why personal data is taken out")


class Counts(BaseModel):
    """How many requests, for the front page of a desk."""

    total: int
    overdue: int
    due_today: int
    due_soon: int = Field(description="Not overdue, and past the day from which the due date counts as near")
    paused: int
    unassigned: int
    by_status: dict[str, int]
    by_office: dict[str, int]
    by_request_type: dict[str, int]
    by_assignee: dict[str, int] = Field(description="Without those nobody has been assigned to")


class ViewIn(Strict):
    """A search to keep."""

    name: Line
    office: Line | None = Field(None, description="Share it with this office of yours")
    query: ViewQuery


class ViewPatch(Strict):
    """What may be changed of a saved view; what is left out stays."""

    name: Line | None = None
    office: Line | None = None
    query: ViewQuery | None = None


class ViewOut(BaseModel):
    id: UUID
    version: int
    owner: str = Field(description="Subject of the account that made it")
    name: str
    office: str | None
    query: ViewQuery | None = Field(description="None if it was saved when there were other filters: save it anew")


class ViewsQuery(PageQuery):
    """The list of saved views."""

    sort: Literal["name", "-name"] = "name"
