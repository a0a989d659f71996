"""Shapes of what comes in and goes out over HTTP."""

from datetime import date
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, EmailStr, Field

from tejido_shared.contracts import CountedDay
from tejido_shared.fields import Line, Paragraphs
from tejido_shared.pages import PageQuery

Channel = Literal["web", "counter", "phone", "mail", "letter", "itinerant_desk", "social_network"]
Status = Literal["received", "answered", "notified"]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Petitioner(_In):
    """Who asks. Personal data: encrypted at rest, in no event, log or public answer."""

    name: Line
    identification: Line | None = Field(None, description="Kind and number of the identity document")
    email: EmailStr | None = Field(None, max_length=254, description="Where the acknowledgement and the answer go")
    phone: Line | None = None
    address: Line | None = Field(None, description="Postal address")
    representative_name: Line | None = Field(None, description="Who acts for the petitioner")


class RequestIn(_In):
    """A written request. It is never refused for poor reasons or incomplete text (Ley 1755/2015 art. 16)."""

    request_type: Line | None = Field(
        None, description="Code of the type; the jurisdiction's general petition when left out"
    )
    subject: Paragraphs = Field(description="What is asked (objeto)")
    reasons: Paragraphs | None = Field(None, description="Why it is asked (razones)")
    petitioner: Petitioner | None = Field(None, description="Left out for an anonymous request")
    attachments: list[Line] = Field(
        default_factory=list, max_length=50, description="Names of the documents that come with it"
    )
    organization_id: UUID | None = None
    project_id: UUID | None = Field(None, description="The community project it is about")
    language: Literal["es", "en"] = "es"
    channel: Channel | None = Field(None, description="Only an officer may name one; web otherwise")
    due_date: date | None = Field(
        None, description="Only for types whose due date the asking authority sets; only by an officer"
    )
    received_at: AwareDatetime | None = Field(
        None, description="Only an officer may name it: the true instant of receipt of a letter or itinerant desk"
    )


class VerbalPetitioner(Petitioner):
    """Whoever speaks leaves a name, an identification and an address to be answered at (Decreto 1166/2016)."""

    identification: Line


class VerbalRequestIn(_In):
    """A request made by word of mouth, with what Decreto 1166/2016 (DUR 1069/2015, 2.2.3.12.3) asks of its record.

    Number, date and hour, receiving official and the statement that it was verbal are added by the service.
    """

    request_type: Line | None = None
    subject: Paragraphs
    reasons: Paragraphs
    petitioner: VerbalPetitioner
    attachments: list[Line] = Field(default_factory=list, max_length=50)
    organization_id: UUID | None = None
    project_id: UUID | None = None
    language: Literal["es", "en"] = "es"
    channel: Channel = "counter"
    received_at: AwareDatetime | None = Field(None, description="Now when left out")


class ClockOut(BaseModel):
    """The legal clock of a request."""

    received_at: AwareDatetime
    effective_receipt_date: date
    term: str = Field(description="The term in words")
    article: str | None = Field(description="Its legal source")
    due_date: date
    overdue_at: AwareDatetime = Field(description="From this instant an answer is late")
    due_soon_from: date | None = None
    overdue: bool
    days: list[CountedDay] = Field(description="The count, day by day; empty for terms of months")


class ReceiptOut(BaseModel):
    """What the petitioner takes away."""

    id: UUID
    number: str
    tracking_code: str = Field(description="With the number it shows the request to whoever holds both")
    request_type: str
    type_name: str
    office: str
    verbal: bool
    received_by: str | None = Field(None, description="The receiving official of a verbal request")
    clock: ClockOut


class HistoryOut(BaseModel):
    at: AwareDatetime
    kind: str
    what: str = Field(description="What happened, for a person")


class TrackingOut(BaseModel):
    """What the public tracking shows to whoever has number and code. No personal data."""

    number: str
    type_name: str
    office_name: str
    status: Status
    clock: ClockOut
    project: str | None = Field(None, description="Title of the project it is about")
    answered_at: AwareDatetime | None = None
    answer: str | None = None
    notified_at: AwareDatetime | None = None
    history: list[HistoryOut]


class RequestSummary(BaseModel):
    """A request in a list: no personal data."""

    id: UUID
    version: int
    number: str
    request_type: str
    office: str
    channel: Channel
    verbal: bool
    status: Status
    received_at: AwareDatetime
    due_date: date
    overdue: bool


class RequestOut(RequestSummary):
    """A request as its office sees it."""

    subject: str
    reasons: str | None
    attachments: list[Any]
    petitioner: Petitioner | None
    organization_id: UUID | None
    project_id: UUID | None
    received_by: str | None
    clock: ClockOut
    answer: str | None
    answered_at: AwareDatetime | None
    notified_at: AwareDatetime | None
    notification_evidence: str | None
    history: list[HistoryOut]


class RequestPatch(_In):
    """What an officer may correct."""

    office: Line = Field(description="The office that is to answer; the clock goes on unchanged")


class AnswerIn(_In):
    text: Paragraphs


class NotificationIn(_In):
    """Proof that the answer reached the citizen in another way than by mail."""

    notified_at: AwareDatetime
    evidence: Line = Field(description="Signed receipt, guide number, minutes …")


class RequestQuery(PageQuery):
    """Filters and order of the list of requests."""

    status: Status | None = None
    office: Line | None = None
    request_type: Line | None = None
    overdue: bool | None = Field(None, description="Past its due instant and not notified")
    due_until: date | None = Field(None, description="Due on this day or before")
    project_id: UUID | None = None
    sort: Literal["due_date", "-due_date", "received_at", "-received_at"] = "due_date"


class TermOut(BaseModel):
    valid_from: date
    valid_to: date | None
    unit: str
    n: int
    article: str
    kind: str
    in_words: str


class RequestTypeOut(BaseModel):
    """A kind of request and the term the law gives it, to be seen before filing."""

    code: str
    name: str
    description: str
    office: str
    term: TermOut | None = Field(None, description="The term in force today; none if the due date is set case by case")
