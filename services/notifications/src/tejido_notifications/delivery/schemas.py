"""Shapes of what comes in and goes out over HTTP. None holds personal data."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tejido_shared.pages import PageQuery

Status = Literal["pending", "sending", "delivered", "failed", "bounced", "held", "merged", "cancelled"]


class DeliverySummary(BaseModel):
    """A message in a list."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    status: Status
    template: str
    template_version: str | None = Field(
        description="Which text was sent: where it is from, and the beginning of its SHA-256"
    )
    audience: str = Field(
        description="citizen, assignee, office, office_head, authority, organization, subscriber, account"
    )
    channel: str
    category: Literal["legal", "service", "campaign"]
    fallback_of: UUID | None = Field(description="The message that could not be delivered by another channel")
    digest_id: UUID | None = Field(description="The digest that took it in")
    language: str
    cause_id: UUID = Field(description="Id of the event it tells of")
    cause_type: str = Field(description="Type of that event, e.g. requests.submitted")
    about: UUID = Field(description="The entity the event was about, e.g. the request")
    created_at: AwareDatetime
    attempts: int = Field(description="Since it was made, or since it was last told to try again")
    next_attempt_at: AwareDatetime | None
    delivered_at: AwareDatetime | None
    bounced_at: AwareDatetime | None = Field(description="When it came back after it had been accepted")
    evidence: str | None = Field(description="The accepting mail server's words, without addresses")
    last_error: str | None
    erased_at: AwareDatetime | None = Field(
        description="When recipient, content and the server's words were erased with the data of what it is about"
    )


class AttemptOut(BaseModel):
    """One try at a message."""

    model_config = ConfigDict(from_attributes=True)

    at: AwareDatetime
    outcome: Literal["accepted", "deferred", "refused", "unsendable", "unknown"] = Field(
        description=(
            "`unknown` while it lasts, and when the sender or the connection broke before the mail server's answer: it may have taken it"
        )
    )
    code: str | None = Field(description="Kind of failure: unreachable, greylisted, full, 5.1.1 …")
    reply: str | None = Field(description="The mail server's words, or what went wrong, without addresses")


class DeliveryOut(DeliverySummary):
    """A message with every attempt at it."""

    history: list[AttemptOut]


class DeliveryQuery(PageQuery):
    """Filters and order of the list of messages."""

    status: Status | None = None
    template: str | None = Field(None, max_length=100)
    cause_type: str | None = Field(None, max_length=100)
    cause_id: UUID | None = Field(None, description="Id of the event or campaign it tells of")
    channel: str | None = Field(None, max_length=40)
    category: Literal["legal", "service", "campaign"] | None = None
    about: UUID | None = Field(None, description="Key of the entity it tells of, e.g. a request")
    sort: Literal["created_at", "-created_at"] = "-created_at"
