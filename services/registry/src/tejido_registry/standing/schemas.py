"""Shapes of what comes in and goes out over HTTP."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, Field


class ReasonOut(BaseModel):
    code: str = Field(description="mandate_expired, document_missing:statute …")
    axis: str = Field(description="registration, legal, mandate, freshness, type, grade, document or filing")
    text: str = Field(description="The reason, for a person")


class StandingOut(BaseModel):
    """Whether an organization may do something on a day, and if not, why."""

    purpose: str
    name: str
    allowed: bool
    reasons: list[ReasonOut]
    holds_until: date | None = Field(
        description="Last day of this answer, by the dates the register knows; none: no date changes it"
    )


class StandingsOut(BaseModel):
    organization_id: UUID
    on: date
    standing: list[StandingOut]
