"""Shapes of the citizen's side."""

from datetime import date

from pydantic import AwareDatetime, BaseModel, Field

from tejido_requests.audit.schemas import HistoryOut
from tejido_requests.clocks.schemas import ClockOut
from tejido_requests.desk.schemas import PartialAnswer
from tejido_shared.fields import Paragraphs, Strict


class AskedOut(BaseModel):
    """What the citizen is asked for."""

    what: str | None
    until: date | None = Field(description="Then withdrawal may be decided; none where the place knows no such term")


class TrackingOut(BaseModel):
    """What the public tracking shows to whoever has number and code. No personal data."""

    number: str
    type_name: str
    office_name: str
    status: str
    clock: ClockOut
    project: str | None = Field(None, description="Title of the project it is about")
    asked: AskedOut | None = Field(None, description="While the request waits to be completed")
    partial_answers: list[PartialAnswer] = Field(default_factory=list)
    answered_at: AwareDatetime | None = None
    answer_number: str | None = None
    answer: str | None = None
    notified_at: AwareDatetime | None = None
    transferred_to: str | None = Field(None, description="The authority that must answer")
    merged_into: str | None = Field(None, description="Number of the request that answers this one")
    split_into: list[str] = Field(default_factory=list, description="Numbers; the code is the same")
    reopened_as: str | None = Field(
        None, description="Number of the request that disputes the answer; the code is the same"
    )
    may_rate: bool = Field(description="Whether the answer can be rated")
    history: list[HistoryOut]


class CompletionTextIn(Strict):
    text: Paragraphs = Field(description="What was asked for")


class RatingIn(Strict):
    stars: int = Field(ge=1, le=5)
    comment: Paragraphs | None = None


class DisputeIn(Strict):
    reasons: Paragraphs = Field(description="Why you do not agree with the answer")


class CitizenWithdrawalIn(Strict):
    reasons: Paragraphs | None = None
