"""The kinds of messages: what each tells of, and whether the law wants it."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from tejido_shared.contracts import EVENTS, Event

Category = Literal["legal", "service", "campaign"]


class DigestItem(BaseModel):
    """One message of a digest: its subject line."""

    subject: str
    at: AwareDatetime


class Digest(BaseModel):
    """What waited for one recipient, told together."""

    items: list[DigestItem]


class VerificationCode(BaseModel):
    """Whoever reads it can prove that the address is theirs."""

    code: str
    name: str = ""
    minutes: int


class Meeting(BaseModel, frozen=True):
    """A date that a call invites to."""

    summary: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    place: str


class Call(BaseModel):
    """A campaign's letter to one organization."""

    campaign_id: UUID
    subject: str
    text: str
    organization_name: str
    organization_number: str
    meeting: Meeting | None = None


OWN: dict[str, type[BaseModel]] = {
    "notifications.digest": Digest,
    "notifications.verification": VerificationCode,
    "notifications.call": Call,
}
"""Causes of this service's own; all others are events."""
LEGAL = frozenset(
    {
        *("requests_submitted", "requests_completion_asked", "requests_extension_announced", "requests_due_date_moved"),
        *("requests_transferred", "requests_withdrawn", "requests_answered", "notifications_verification"),
        *("registry_application_received", "registry_correction_asked", "registry_application_decided"),
        "registry_status_changed",
    }
)
"""Templates of legal notices: they go out at once, first of all, whatever the recipient prefers, and leave proof. So does the code that
verifies an address, which somebody waits for."""


def model_of(cause_type: str) -> type[Event] | type[BaseModel]:
    """The fields a template sees. Raises `KeyError` for a cause nobody knows."""
    return OWN[cause_type] if cause_type in OWN else EVENTS[cause_type]


def category_of(template: str) -> Category:
    if template in LEGAL:
        return "legal"
    return "campaign" if template == "notifications_call" else "service"
