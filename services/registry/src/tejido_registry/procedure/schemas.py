"""Shapes of applications and acts."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from tejido_registry.schemas import DefectIn, Reasons
from tejido_shared.contracts import CountedDay
from tejido_shared.fields import Line, Strict
from tejido_shared.pages import PageQuery

Kind = Literal["registration", "annual_filing"]
ApplicationStatus = Literal["submitted", "in_review", "needs_correction", "accepted", "rejected", "withdrawn"]


class ApplicationIn(Strict):
    """What an organization files; an official may do so for it at a counter."""

    kind: Kind
    consent: bool = Field(description="To the treatment of personal data; without it nothing is received")
    period: Annotated[int, Field(ge=2000, le=2100)] | None = Field(
        None, description="Year an annual filing is of; left out, that in which it falls due, else this one"
    )
    note: Reasons | None = Field(None, description="The organization's own words")


class CorrectionAskedIn(Strict):
    items: list[DefectIn] = Field(min_length=1, max_length=50)


class CorrectedIn(Strict):
    note: Reasons | None = Field(None, description="The answer to what was not changed")


class ReasonsIn(Strict):
    reasons: Reasons


class DecisionIn(Strict):
    reasons: Reasons | None = None


class ApplicationQuery(PageQuery):
    """Filters and order of the queue."""

    kind: Kind | None = None
    status: ApplicationStatus | None = None
    open: bool | None = Field(None, description="Whether it waits for a decision")
    overdue: bool | None = Field(None, description="Whether the office should have decided it")
    due_within: Annotated[int, Field(ge=0, le=365)] | None = Field(
        None, description="Days, counting today as 0: those the office must decide until then, and the overdue ones"
    )
    reviewer: Line | None = Field(None, description="Subject of an official")
    organization_id: UUID | None = None
    sort: Literal["due_on", "-due_on", "submitted_at", "-submitted_at"] = "due_on"


class ApplicationSummary(BaseModel):
    id: UUID
    version: int
    organization_id: UUID
    organization_number: str
    organization_name: str
    kind: Kind
    period: int | None = Field(description="Year an annual filing is of")
    number: str = Field(description="Of the receipt")
    status: ApplicationStatus
    submitted_at: AwareDatetime
    on_behalf: bool = Field(description="An official filed it at a counter for the organization")
    due_on: date = Field(description="Last day to decide; while the organization corrects, as it was before")
    days_left: int | None = Field(
        description="Open days until then: 0 is today, negative is late; none while nothing runs for the office"
    )
    overdue: bool
    correction_until: date | None = Field(description="Last day for the organization to correct")
    reviewer: str | None = Field(description="Subject of the official; for officials only")
    decided_at: AwareDatetime | None


class DefectOut(BaseModel):
    round: int = Field(description="1 for the first time it was asked")
    item: str
    name: str = Field(description="The field or document, in words")
    reason: str
    corrected_at: AwareDatetime | None


class AskedDocumentOut(BaseModel):
    """A document the procedure asks for, and what there is of it."""

    code: str
    name: str
    status: Literal["missing", "handed_in", "verified", "refused", "expired"]


class PauseOut(BaseModel):
    asked_on: date
    until: date | None = Field(description="Last day that does not count; none while it rests")


class DerivationOut(BaseModel):
    """How the last day to decide was counted."""

    term: str = Field(description="In words")
    article: str
    legal: bool = Field(description="False: the entity's own promise")
    received_on: date = Field(description="The day it counts as received")
    pauses: list[PauseOut]
    days: list[CountedDay] = Field(description="Day by day; empty for a term of months")
    due_on: date | None = Field(description="None while the organization corrects")


class ApplicationOut(ApplicationSummary):
    submitted_by: str | None = Field(description="Subject of who filed it; for officials only")
    consented_at: AwareDatetime | None
    corrections: int = Field(description="How often it was asked to correct")
    decided_by: str | None = Field(description="For officials only")
    reasons: str | None
    note: str | None
    defects: list[DefectOut]
    documents: list[AskedDocumentOut]
    derivation: DerivationOut
