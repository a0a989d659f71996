"""Shapes of public profiles, of the feed and of the directory's filters."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from tejido_registry.schemas import Reasons
from tejido_shared.fields import PLAIN, Line, Strict

ConsentField = Literal["description", "purpose", "address", "phone", "email", "website", "contact_name"]
"""What is shown of an organization only if it consents. Its point has degrees: `point`."""
PointShown = Literal["exact", "blurred", "hidden"]
Description = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=PLAIN)]


class ProfileIn(Strict):
    """What an organization lets everybody see: the whole of it, for what is not named is withdrawn."""

    description: Description | None = Field(None, description="What it does, in its own words, for everybody")
    shown: set[ConsentField] = Field(description="The fields that everybody may see")
    point: PointShown = Field("hidden", description="How exact its place is shown on maps")
    evidence: Reasons | None = Field(
        None,
        description="What shows that the organization wants it so: of a registrar it is asked; stays in the history, for officials",
    )


class ProfileOut(BaseModel):
    description: str | None
    shown: dict[str, datetime] = Field(description="Field that everybody sees: since when the organization consents")
    point: PointShown
    changed_at: AwareDatetime | None


class DirectoryFilter(BaseModel):
    """What the exports of the directory can be limited to."""

    model_config = {"extra": "forbid"}

    q: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)] | None = Field(
        None, description="Words, or beginnings of words, of its names; or a number of it"
    )
    organization_type: Line | None = None
    area: Line | None = Field(None, description="Code of the jurisdiction's area")
    theme: Line | None = Field(None, description="Code of what it works on")
    population: Line | None = Field(None, description="Code of whom it serves")
    bbox: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="Only those with a point in it: west,south,east,north in degrees"
    )


class FeedQuery(BaseModel):
    model_config = {"extra": "forbid"}

    after: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}\.[0-9]{1,18}$")] | None = Field(
        None, description="`next` of the page before; from the beginning when left out"
    )
    limit: Annotated[int, Field(ge=1, le=1000)] = 200


class ChangeOut(BaseModel):
    """That an organization changed, and how it is there now."""

    organization_id: UUID
    at: AwareDatetime
    what: Literal["changed", "removed"] = Field(
        description="`removed`: it is no longer in the directory; take it out of yours"
    )
    number: str | None = Field(description="None once it is removed")
    merged_into: UUID | None = Field(description="The organization in which it lives on, where it was the same one")


class FeedOut(BaseModel):
    """Changes in an order that never changes. An organization may come more than once; what is said of it is as of now."""

    items: list[ChangeOut]
    next: str | None = Field(description="Ask `after` it; keep it where there is nothing new yet")
    more: bool = Field(description="Whether there is more already")


class HsdsQuery(BaseModel):
    """As the HSDS API has it."""

    model_config = {"extra": "forbid"}

    page: Annotated[int, Field(ge=1, le=100_000)] = 1
    per_page: Annotated[int, Field(ge=1, le=200)] = 50
    modified_after: AwareDatetime | None = None


class HsdsServiceQuery(HsdsQuery):
    organization_id: UUID | None = None


class HsdsPage(BaseModel):
    """As the HSDS API has it. What `contents` hold is as the schemas of HSDS 3.0 say."""

    total_items: int
    total_pages: int
    page_number: int
    size: int = Field(description="Items on this page")
    first_page: bool
    last_page: bool
    empty: bool
    contents: list[dict[str, Any]]


class HsdsAbout(BaseModel):
    version: str
    profile: str
    openapi_url: str
