"""Shapes of calls. What goes out holds no addresses."""

from datetime import datetime, timedelta
from string import Formatter
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from tejido_notifications.letters.kinds import Meeting
from tejido_shared.clock import now
from tejido_shared.fields import Line, Paragraphs, Strict
from tejido_shared.pages import PageQuery
from tejido_shared.refusals import Refused

PLACEHOLDERS = ("organization_name", "organization_number")
"""What subject and text may hold between braces."""
Status = Literal["draft", "running", "paused", "cancelled", "done"]
MOST = 1000
LONGEST_AHEAD = timedelta(days=730)
"""Of a meeting: whatever is further is a slip, and the last instants of the year 9999 fit no calendar."""


class Segment(Strict):
    """Which organizations are called: those that fit every list that is not empty, each by one of its entries."""

    types: list[Line] = Field([], max_length=100, description="Codes of organization types")
    statuses: list[Line] = Field(["registered"], max_length=20, description="Registration statuses; empty for all")
    territories: list[Line] = Field([], max_length=MOST)
    themes: list[Line] = Field([], max_length=100)
    standing: list[Line] = Field([], max_length=20, description="Codes of purposes: those that may do one of these now")
    ids: list[UUID] = Field([], max_length=MOST, description="Only these")


class MeetingIn(Strict):
    """A date that the call invites to."""

    summary: Line
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    place: Line

    @model_validator(mode="after")
    def _plausible(self) -> Self:
        if self.starts_at >= self.ends_at:
            raise Refused("meeting_backwards", "meeting.ends_at")
        if self.ends_at > now() + LONGEST_AHEAD:
            raise Refused("meeting_far", "meeting.ends_at", days=LONGEST_AHEAD.days)
        return self


class CampaignIn(Strict):
    """A call to many organizations. A brace that is no placeholder is written twice."""

    name: Line = Field(description="For the house; recipients do not see it")
    subject: Line = Field(description="May hold {organization_name} and {organization_number}")
    text: Paragraphs = Field(description="May hold the same")
    segment: Segment = Segment()
    meeting: MeetingIn | None = None
    office_hours: bool = Field(True, description="Whether it is only sent while the offices are open")

    @model_validator(mode="after")
    def _writable(self) -> Self:
        for field in ("subject", "text"):
            if not _is_writable(getattr(self, field)):
                raise Refused("placeholder", field, known=", ".join(f"{{{name}}}" for name in PLACEHOLDERS))
        return self


def _is_writable(text: str) -> bool:
    try:
        return all(
            name is None or (name in PLACEHOLDERS and not spec and not conversion)
            for _, name, spec, conversion in Formatter().parse(text)
        )
    except ValueError:
        return False


class CampaignSummary(BaseModel):
    """A call in a list."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    status: Status
    created_by: str = Field(description="Subject of an account")
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    total: int = Field(description="Organizations of the segment when it began")
    queued: int = Field(description="Of these, those a message was made for")


class Progress(BaseModel):
    """What became of the organizations of a call so far; each counts once, with its last message."""

    total: int
    queued: int
    left_out: dict[str, int] = Field(description="no_address, opted_out or bounced, to how many")
    waiting: int
    delivered: int
    failed: int = Field(description="Given up, or came back")
    cancelled: int


class CampaignOut(CampaignSummary):
    """A call and how far it is."""

    subject: str
    text: str
    segment: Segment
    meeting: Meeting | None
    office_hours: bool
    progress: Progress


class Sample(BaseModel):
    """A letter as one organization would get it, without its address."""

    organization_id: UUID
    channel: str
    language: str
    subject: str
    text: str


class DryRunOut(BaseModel):
    """What would be sent if it began now. Nothing is."""

    total: int
    messages: int
    left_out: dict[str, int] = Field(description="no_address, opted_out or bounced, to how many")
    sample: list[Sample]


class CampaignQuery(PageQuery):
    """Filters and order of the list of calls."""

    status: Status | None = None
    sort: Literal["created_at", "-created_at"] = "-created_at"


def segment_of(stored: dict[str, Any]) -> Segment:
    """The segment of a stored campaign."""
    return Segment.model_validate(stored)


def begins_at(stored: dict[str, Any] | None) -> datetime | None:
    """When the meeting of a stored campaign begins, if it invites to one."""
    return datetime.fromisoformat(stored["starts_at"]) if stored is not None else None
