"""Shapes of what officers do."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, FiniteFloat

from tejido_requests.audit.schemas import HistoryOut
from tejido_requests.clocks.schemas import ClockOut, RunningClock
from tejido_requests.intake.schemas import Petitioner
from tejido_requests.search.schemas import RequestSummary
from tejido_shared.fields import Line, Paragraphs, Strict
from tejido_shared.pages import PageQuery

Evidence = Annotated[Line | None, Field(description="Signed receipt, guide number, minutes …")]
AnswerKind = Literal["answer", "partial", "refusal"]


class CompletionOut(BaseModel):
    """What the citizen was asked for, and what became of it."""

    asked_at: AwareDatetime
    what: str | None = Field(description="None once it was erased")
    late: bool = Field(description="Asked for after the time the law gives to ask")
    ended_at: AwareDatetime | None = None
    completed: bool = Field(False, description="False while it is awaited, or when the office did without it")
    text: str | None = Field(None, description="What the citizen wrote, or why the office did without it")


class PartialAnswer(BaseModel):
    """A part of the answer that was told to the citizen already."""

    number: str
    issued_at: AwareDatetime
    text: str


class RequestOut(RequestSummary):
    """A request as its office sees it."""

    subject: str
    reasons: str | None
    attachments: list[Any] = Field(
        description="Names of the documents that came with it, as declared; null where the petitioner is confidential"
    )
    petitioner: Petitioner | None
    organization_id: UUID | None = Field(
        description="None too where the petitioner is confidential: it may be who asks"
    )
    project_id: UUID | None
    received_by: str | None
    received_by_name: str | None
    type_name: str
    anonymous: bool
    confidential: bool = Field(description="The petitioner is left out here: see .../identity")
    minor: bool
    priority_reason: str | None
    addressees: list[Any]
    place_address: str | None
    area: str | None
    latitude: float | None
    longitude: float | None
    answers: dict[str, Any]
    missing_at_receipt: str | None
    parent_id: UUID | None
    merged_into_id: UUID | None
    reopens_id: UUID | None
    children: list[str] = Field(description="Numbers of the requests it was split into")
    reopened_as: str | None = Field(description="Number of the request that disputes its answer")
    clock: ClockOut
    clocks: list[RunningClock]
    completions: list[CompletionOut]
    partial_answers: list[PartialAnswer]
    answer_number: str | None
    answer_kind: str | None
    answer: str | None
    answered_at: AwareDatetime | None
    notified_at: AwareDatetime | None
    notification_evidence: str | None
    history: list[HistoryOut]


class RequestPatch(Strict):
    """What an officer may correct."""

    office: Line = Field(description="The office that is to answer; the clock goes on unchanged")


class Dated(Strict):
    """An act that may have taken effect before it is recorded."""

    at: AwareDatetime | None = Field(
        None, description="Now when left out; not before the receipt and the acts before it"
    )


class CompletionRequestIn(Dated):
    what: Paragraphs = Field(description="What is missing, as the citizen is told")
    evidence: Evidence = None


class CompletionIn(Dated):
    text: Paragraphs | None = Field(None, description="What the citizen answered")
    evidence: Evidence = None


class ReasonedIn(Dated):
    reasons: Paragraphs


class WithdrawalIn(Dated):
    """The citizen's own wish to withdraw."""

    evidence: Line = Field(description="Where that wish is on record")
    reasons: Paragraphs | None = None


class WithdrawalDecisionIn(Strict):
    """What a head decides after the citizen let the time to complete pass."""

    withdraw: bool = Field(description="False: the office goes on with what it has, and the clock starts again")
    reasons: Paragraphs


class WithdrawalProposal(RequestSummary):
    """A request whose citizen has let the time to complete pass: a head decides."""

    citizen_due_date: date


class ProposalQuery(PageQuery):
    sort: Literal["citizen_due_date", "-citizen_due_date"] = "citizen_due_date"


class AcknowledgementIn(Dated):
    evidence: Line = Field(description="Signed copy, guide number …")


class ExtensionIn(Strict):
    """One of `added` and `due_date`. Without evidence that the citizen was told, it is mailed and holds once that has arrived."""

    reasons: Paragraphs
    added: int | None = Field(None, ge=1, le=1000, description="Units of the term")
    due_date: date | None = Field(None, description="The new date")
    evidence: Evidence = None
    told_at: AwareDatetime | None = Field(
        None, description="With evidence: when the citizen was told; now when left out"
    )


class RetypeIn(Dated):
    request_type: Line = Field(description="Code of the true type")
    reasons: Paragraphs
    answers: dict[Line, Paragraphs | int | FiniteFloat | bool] = Field(
        default_factory=dict, max_length=30, description="What the true type asks beyond the subject"
    )


class TransferIn(Dated):
    """To another authority. To another office of the municipality: PATCH the request."""

    authority: Line
    reasons: Paragraphs
    evidence: Line = Field(description="Guide number or other proof that it was sent")
    receiver_received_at: AwareDatetime | None = Field(None, description="When the authority received it, if known")


class AnswerIn(Strict):
    text: Paragraphs
    kind: AnswerKind = "answer"
    reasons: Paragraphs | None = Field(None, description="Of a refusal")


class NotificationIn(Strict):
    """Proof that the answer reached the citizen in another way than by mail."""

    notified_at: AwareDatetime
    evidence: Line = Field(description="Signed receipt, guide number, minutes …")


class DraftIn(Strict):
    kind: AnswerKind = "answer"
    text: Paragraphs | None = Field(None, description="The type's template, filled in, when left out")
    reasons: Paragraphs | None = Field(None, description="Of a refusal; they become part of the text")


class DraftPatch(Strict):
    text: Paragraphs


class RemarkIn(Strict):
    remark: Paragraphs = Field(description="What is to be changed")


class DraftOut(BaseModel):
    """An answer in the making."""

    id: UUID
    version: int
    kind: str
    text: str
    status: str = Field(description="written, submitted, approved, returned, issued")
    author: str
    written_at: AwareDatetime
    submitted_at: AwareDatetime | None
    decided_at: AwareDatetime | None
    decided_by: str | None
    remark: str | None


class DraftQuery(PageQuery):
    sort: Literal["written_at", "-written_at"] = "-written_at"


class ReopenIn(Strict):
    reasons: Paragraphs = Field(description="Why the citizen does not agree with the answer")
    due_date: date | None = Field(None, description="Only for types whose due date the asking authority sets")


class PartIn(Strict):
    """One child. What is left out is as in the parent; the office, as the type says."""

    subject: Paragraphs
    reasons: Paragraphs | None = None
    request_type: Line | None = None
    office: Line | None = None
    due_date: date | None = Field(None, description="Only for types whose due date the asking authority sets")


class SplitIn(Strict):
    children: list[PartIn] = Field(min_length=2, max_length=10)
    reasons: Paragraphs


class MergeIn(Strict):
    others: list[UUID] = Field(min_length=1, max_length=50, description="The duplicates of this request")
    reasons: Paragraphs
    different_types: bool = Field(False, description="Merge them although their types differ")


class LinksIn(Strict):
    """What is given is set, null takes the link away, and what is left out stays."""

    project_id: UUID | None = None
    organization_id: UUID | None = None
