"""Shapes of history, of who saw what, and of what retention erases."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tejido_requests.intake.schemas import Petitioner
from tejido_shared.fields import Line, Strict
from tejido_shared.pages import PageQuery


class HistoryOut(BaseModel):
    at: AwareDatetime
    kind: str
    what: str = Field(description="What happened, for a person")


class AuditEntryOut(HistoryOut):
    """One entry of history in full."""

    id: UUID
    recorded_at: AwareDatetime
    author: str | None = Field(description="Subject of an account; none for the citizen without one and the system")
    details: dict[str, Any]
    calendar_version: int | None
    reason: str | None
    evidence: str | None
    sequence: int | None = Field(description="Its link in the audit chain; none for the first seconds")
    hash: str | None = Field(description="SHA-256 of the link, in hexadecimal")


class HeadOut(BaseModel):
    """The end of the audit chain: noted elsewhere, it proves later that nothing was taken away."""

    sequence: int
    hash: str
    sealed_until: datetime | None = Field(description="Nothing recorded before this instant waits for its link")


class WhyIn(Strict):
    reason: Line


class IdentityOut(BaseModel):
    petitioner: Petitioner | None = Field(description="None if it is anonymous or was erased")
    organization_id: UUID | None = Field(description="The organization that asks, or that it was linked to")


class AccessOut(BaseModel):
    """Who looked at something confidential."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    at: AwareDatetime
    subject: str
    what: str = Field(description="identity, history, attachment, export, receipt")
    reason: str | None


class AccessListed(AccessOut):
    """The same, among those of all requests."""

    request_id: UUID | None = Field(description="None for an export: its reason says of which requests it was")


class AccessQuery(PageQuery):
    """Filters of the list of accesses. Days are the municipality's, both included."""

    what: Literal["identity", "history", "attachment", "export", "receipt"] | None = None
    subject: Line | None = Field(None, description="Of the account that looked")
    at_from: date | None = None
    at_until: date | None = None
    sort: Literal["at", "-at"] = "-at"


class ConfidentialityIn(Strict):
    confidential: bool
    reason: Line


class HoldIn(Strict):
    hold: bool = Field(description="Whether its personal data must be kept, whatever the retention rule says")
    reason: Line


class RetentionDue(BaseModel):
    """What a retention rule reaches now."""

    request_type: str
    after_months: int
    article: str
    due: int


class RetentionDueOut(BaseModel):
    """What a batch would erase, and nothing is erased."""

    due: int
    by_type: list[RetentionDue]
    held: int = Field(description="Past their time and kept by a legal hold")
    related: int = Field(description="Past their time and kept for an open request that hangs together with them")
    first: list[str] = Field(description="Numbers of the first of them, by when they closed")


class BatchOut(BaseModel):
    batch: UUID
    erased: int
    due: int = Field(description="What is left to erase")
