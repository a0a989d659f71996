"""Shapes of documents and of who saw them."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import UploadFile
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from tejido_registry.schemas import Reasons
from tejido_shared.fields import Line, Strict
from tejido_shared.pages import PageQuery

# A form sends a date that was left empty as an empty text.
Day = Annotated[date | None, BeforeValidator(lambda value: value or None)]


class DocumentIn(Strict):
    """A document that an organization hands in, or an official for it."""

    file: UploadFile
    document_type: Line = Field(description="Code from /v1/register-options")
    issued_on: Day = Field(None, description="Its date; needed where the type is good for some months only")
    expires_on: Day = Field(None, description="Last day it is good for; left out, what its type says")


class JudgedIn(Strict):
    """What an official found in a document. Dates that were handed in wrong are corrected."""

    issued_on: date | None = None
    expires_on: date | None = None


class RefusedIn(Strict):
    reason: Reasons


class DocumentOut(BaseModel):
    """A document of an organization, for officials and whoever acts for it."""

    id: UUID
    document_type: str
    type_name: str
    personal: bool = Field(description="It tells of persons")
    issued_on: date | None
    expires_on: date | None = Field(description="Last day it is good for; none: it does not expire")
    valid: bool = Field(description="Verified, and not expired today: it serves every procedure")
    status: Literal["handed_in", "verified", "refused", "replaced"]
    file_name: str
    media_type: str = Field(description="As its content shows")
    size: int = Field(description="Bytes, as kept")
    sha256: str
    readable: bool = Field(description="False while no scanner has seen it")
    handed_in_at: AwareDatetime
    handed_in_by: str | None = Field(description="Subject; for officials only")
    judged_at: AwareDatetime | None
    judged_by: str | None = Field(description="Subject; for officials only")
    reason: str | None = Field(description="Why it was refused")


class AccessOut(BaseModel):
    """Somebody saw personal data of an organization."""

    at: AwareDatetime
    subject: str
    what: str = Field(description="document or person")
    seen: UUID = Field(description="Its key")


class AccessQuery(PageQuery):
    sort: Literal["at", "-at"] = "-at"
