"""Shapes of the work of a desk."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, EmailStr, Field

from tejido_shared.fields import Line, Paragraphs, Strict
from tejido_shared.pages import PageQuery

MOST_AT_ONCE = 500
Outcome = Literal["assigned", "unchanged", "not_found", "ended", "unknown_officer"]


class OfficerIn(Strict):
    present: bool = Field(True, description="Whether work may be given to them by balancing")
    away_until: date | None = Field(None, description="Last day of an absence; present again the day after")
    email: EmailStr | None = Field(
        None, max_length=254, description="Where reminders for them go; left out it stays, null takes it away"
    )


class OfficerOut(BaseModel):
    """An officer of a desk and what they have in hand."""

    subject: str
    office: str
    present: bool
    away_until: date | None
    email: str | None
    available: bool = Field(description="Present and not away today")
    open_requests: int = Field(description="Assigned to them in this office and not ended")


class OfficersQuery(PageQuery):
    """The list of officers of an office."""

    sort: Literal["subject", "-subject"] = "subject"


class AssignmentIn(Strict):
    subject: Line | None = Field(
        description="Account of an officer of the request's office; null takes it from whoever has it"
    )


class BulkAssignmentIn(AssignmentIn):
    ids: list[UUID] = Field(min_length=1, max_length=MOST_AT_ONCE)


class ItemOutcome(BaseModel):
    id: UUID
    outcome: Outcome


class BulkAssignmentOut(BaseModel):
    items: list[ItemOutcome] = Field(description="One for each request, in the order given")


class BalanceIn(Strict):
    limit: int = Field(MOST_AT_ONCE, ge=1, le=MOST_AT_ONCE, description="The most requests to assign now")


class Share(BaseModel):
    subject: str
    assigned: int = Field(description="Now")
    open_requests: int = Field(description="In all")


class BalanceOut(BaseModel):
    assigned: int
    left: int = Field(description="Open requests still without anybody: call again")
    officers: list[Share]


class NoteIn(Strict):
    text: Paragraphs


class NoteOut(BaseModel):
    """What an officer noted for colleagues; the citizen does not see it."""

    id: UUID
    at: AwareDatetime
    author: str = Field(description="Subject of the account")
    text: str


class NotesQuery(PageQuery):
    """The notes of a request."""

    sort: Literal["at", "-at"] = "at"
