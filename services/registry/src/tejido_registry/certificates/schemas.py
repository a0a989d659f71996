"""Shapes of certificates."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from tejido_registry.schemas import Reasons
from tejido_shared.fields import Strict
from tejido_shared.jurisdiction import LegalStatus, MandateStatus, RegistrationStatus
from tejido_shared.pages import PageQuery

Code = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9A-Za-z -]{16,30}$")]
"""With or without hyphens and capitals."""
Validity = Literal["valid", "expired", "revoked"]


class Statement(BaseModel):
    """What a register says of an organization, with nothing of a person."""

    name: str
    number: str
    organization_type: str
    registration_status: RegistrationStatus
    legal_status: LegalStatus | None
    mandate_status: MandateStatus
    mandate_until: date | None = Field(description="Last day of whoever signs for it; or of who did last")
    area: str | None
    merged_into: str | None = Field(None, description="Number of the organization in which it lives on")


class CertificateOut(BaseModel):
    """A certificate, for who may have it issued."""

    id: UUID
    number: str
    code: str = Field(description="With it anybody can verify it; it cannot be guessed")
    url: str = Field(description="The page that verifies it, where the QR code leads")
    status: Validity
    said: Statement
    issued_at: AwareDatetime
    good_until: date = Field(description="Last day it is good for")
    revoked_at: AwareDatetime | None
    revoked_why: str | None = Field(None, description="For officials")


class CertificateCheck(BaseModel):
    """What anybody who has its code may know of a certificate."""

    number: str
    status: Validity
    issued_at: AwareDatetime
    good_until: date = Field(description="Last day it is good for")
    revoked_at: AwareDatetime | None
    said: Statement = Field(description="What the register said when it was issued")
    today: Statement = Field(description="What the register says now")
    differs: list[str] = Field(description="In which fields it says something else now")


class CertificatesQuery(PageQuery):
    sort: Literal["-issued_at", "issued_at"] = "-issued_at"


class RevocationIn(Strict):
    reason: Reasons = Field(description="Stays in the register, for officials")
