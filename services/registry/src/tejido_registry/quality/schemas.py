"""Shapes of the quality board. None holds personal data."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tejido_shared.fields import Line
from tejido_shared.pages import PageQuery

Figure = Literal[
    "verified",
    "valid_mandate",
    "geocoded",
    "outside",
    "area_disagrees",
    "bounced",
    "without_contact",
    "possible_duplicate",
    "filing_overdue",
    "draft_overdue",
    "application_overdue",
]


class FigureOut(BaseModel):
    """How many of how many."""

    code: Figure
    name: str = Field(description="What it counts, for a person")
    count: int
    of: int = Field(description="Organizations of the register; of drafts, all drafts; of applications, all open ones")
    share: float | None = Field(description="From 0 to 1; none of none")
    list: str = Field(description="Where those are listed that somebody has to look at")


class GroupOut(BaseModel):
    """An area or a type of organization."""

    code: str | None = Field(description="None for those without an area")
    name: str
    organizations: int = Field(description="In the register: registered, inactive or suspended")
    figures: list[FigureOut]


class BoardOut(BaseModel):
    """The whole register, and its parts."""

    at: AwareDatetime
    organizations: int
    duplicates_pending: int = Field(description="Pairs to look at")
    duplicates_list: str
    figures: list[FigureOut]
    by_area: list[GroupOut]
    by_type: list[GroupOut]


class LineOut(BaseModel):
    """An organization that somebody has to look at."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    number: str
    name: str
    organization_type: str
    area: str | None
    area_found: str | None
    registration_status: str
    mandate_status: str
    mandate_until: date | None
    freshness: str
    verified_on: date | None
    filing_due_on: date | None
    contact_bounced_at: AwareDatetime | None


class LinesQuery(PageQuery):
    figure: Figure
    holds: bool = Field(True, description="False: those of which it does not hold, e.g. that are not verified")
    area: Line | None = Field(None, description="Code of an area; `none`: those without one")
    organization_type: Line | None = None
    sort: Literal["name", "-name"] = "name"
