"""Shapes of what comes in and goes out over HTTP."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from tejido_shared.fields import Paragraphs, Strict
from tejido_shared.pages import PageQuery

Group = Literal["identity", "location", "contact", "authorities", "documents"]
Method = Literal["document", "phone", "visit", "register"]
Result = Literal["confirmed", "corrected", "not_confirmed"]


class VerificationIn(Strict):
    """Somebody looked whether the data are true. A result `not_confirmed` is kept, but does not make them fresher."""

    fields: Annotated[list[Group], Field(min_length=1, max_length=5)] = Field(description="What was looked at")
    method: Method
    result: Result
    verified_on: date | None = Field(None, description="Today if left out")
    survey_id: UUID | None = Field(None, description="The campaign that the visit was part of")
    note: Paragraphs | None = Field(None, description="For officials; encrypted at rest")


class VerificationOut(BaseModel):
    id: UUID
    fields: list[str]
    method: str
    result: str
    verified_on: date
    survey_id: UUID | None
    note: str | None
    recorded_by: str = Field(description="Subject of the account")
    recorded_at: AwareDatetime


class VerificationQuery(PageQuery):
    sort: Literal["verified_on", "-verified_on"] = "-verified_on"


class GroupOut(BaseModel):
    """How fresh one group of fields is."""

    group: str
    verified_on: date | None = Field(description="When it was last found, or made, true")
    freshness: str


class FreshnessOut(BaseModel):
    """How fresh the data are: the whole as the oldest of identity, location and contact."""

    freshness: str
    verified_on: date | None
    groups: list[GroupOut]
