"""Shapes of what comes in and goes out over HTTP."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from tejido_shared.fields import Line, Strict
from tejido_shared.pages import PageQuery


class SurveyIn(Strict):
    """A campaign to visit organizations anew (relevamiento)."""

    name: Line
    areas: Annotated[list[Line], Field(max_length=100)] = Field(
        default_factory=list, description="Codes of the jurisdiction's areas; none: the whole town"
    )
    starts_on: date
    ends_on: date


class SurveySummary(BaseModel):
    id: UUID
    version: int
    name: str
    areas: list[str]
    starts_on: date
    ends_on: date
    closed_at: AwareDatetime | None


class Progress(BaseModel):
    """How many organizations the campaign is about, and what became of them."""

    organizations: int
    visited: int = Field(description="A visit of the campaign found, or made, the data true")
    not_found: int = Field(description="Visited, but nothing could be confirmed")
    to_visit: int = Field(description="Not visited yet")
    overdue: int = Field(description="Of those not yet confirmed: never visited fully, or too long ago")


class SurveyOut(SurveySummary):
    progress: Progress


class SurveyQuery(PageQuery):
    open: bool | None = Field(None, description="Only those that are, or are not, closed yet")
    sort: Literal["starts_on", "-starts_on"] = "-starts_on"


class ToVisitQuery(PageQuery):
    state: Literal["visited", "not_found", "to_visit"] = "to_visit"
    overdue: bool = Field(
        False, description="Only those whose last full visit is older than the pack's resurvey_months, or never was"
    )
    sort: Literal["name", "-name"] = "name"


class VisitOut(BaseModel):
    """An organization of the campaign."""

    id: UUID
    number: str
    name: str
    organization_type: str
    address: str | None
    area: str | None
    neighborhood: str | None
    latitude: float | None
    longitude: float | None
    last_full_visit_on: date | None = Field(
        description="When a visit last found identity, location and contact true, or made them so"
    )
