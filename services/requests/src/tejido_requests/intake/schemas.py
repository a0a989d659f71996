"""Shapes of what comes in, and of the receipt that goes out."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, EmailStr, Field, FiniteFloat, SkipValidation

from tejido_requests.clocks.schemas import ClockOut
from tejido_shared.fields import Line, Paragraphs, Strict
from tejido_shared.problems import FieldError


class Petitioner(Strict):
    """Who asks. Personal data: encrypted at rest, in no event, log or public answer."""

    name: Line
    identification: Line | None = Field(None, description="Kind and number of the identity document")
    email: EmailStr | None = Field(None, max_length=254, description="Where the acknowledgement and the answer go")
    phone: Line | None = None
    address: Line | None = Field(None, description="Postal address")
    representative_name: Line | None = Field(None, description="Who acts for the petitioner")
    representative_identification: Line | None = Field(None, description="Kind and number of that person's document")


class PlaceIn(Strict):
    """Where the matter lies: an address, an area, a point (WGS 84), or several of these."""

    address: Line | None = None
    area: Line | None = Field(None, description="Code of an area of the municipality: see /v1/areas")
    latitude: float | None = Field(None, ge=-90, le=90)
    longitude: float | None = Field(None, ge=-180, le=180)


def _answered(said: Any) -> Any:
    """A form sends what was left empty as an empty text: that is no answer."""
    if not isinstance(said, dict):
        return said
    return {code: value for code, value in said.items() if not (isinstance(value, str) and not value.strip())}


class _Asked(Strict):
    """What every request may bring."""

    addressees: list[Line] = Field(default_factory=list, max_length=50, description="Offices or authorities it names")
    place: PlaceIn | None = None
    answers: Annotated[dict[Line, Paragraphs | int | FiniteFloat | bool], BeforeValidator(_answered)] = Field(
        default_factory=dict, max_length=30, description="What the type asks beyond the subject, by field code"
    )
    confidential: bool | None = Field(
        None,
        description="Whether the petitioner's identity is kept from all but those who must know; the type's rule if left out",
    )
    minor: bool = Field(False, description="The petitioner is a minor")
    priority: bool = Field(False, description="Asks for priority attention (Ley 1755/2015 art. 20)")
    priority_reason: Paragraphs | None = None


class RequestIn(_Asked):
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
    channel: Line | None = Field(None, description="Only an officer may name one; web otherwise")
    due_date: date | None = Field(
        None, description="Only for types whose due date the asking authority sets; only by an officer"
    )
    missing: Paragraphs | None = Field(
        None, description="Only an officer: what was missing, when the petitioner insisted on filing (CPACA art. 15)"
    )
    received_at: AwareDatetime | None = Field(
        None, description="Only an officer may name it: the true instant of receipt of a letter or itinerant desk"
    )


class VerbalPetitioner(Petitioner):
    """Whoever speaks leaves a name, an identification and an address to be answered at (Decreto 1166/2016)."""

    identification: Line


class VerbalRequestIn(_Asked):
    """A request made by word of mouth, with what Decreto 1166/2016 (DUR 1069/2015, 2.2.3.12.3) asks of its record.

    Number, date and hour, receiving official and the statement that it was verbal are added by the service.
    """

    request_type: Line | None = None
    subject: Paragraphs
    reasons: Paragraphs
    petitioner: VerbalPetitioner | None = Field(None, description="Left out only for an anonymous request")
    anonymous: bool = Field(
        False, description="Whoever speaks does not wish to be named, and was told the tracking code"
    )
    attachments: list[Line] = Field(default_factory=list, max_length=50)
    organization_id: UUID | None = None
    project_id: UUID | None = None
    language: Literal["es", "en"] = "es"
    channel: Line = "counter"
    missing: Paragraphs | None = Field(None, description="What was missing, when the petitioner insisted")
    received_at: AwareDatetime | None = Field(None, description="Now when left out")


_TAKEN_BY = Field(None, description="The official who received it at the desk, if not whoever sends the batch")


class OfflineWritten(RequestIn):
    """A written request that a desk without connection took."""

    key: UUID = Field(description="Made at the desk, once for each request: what was filed under it is not filed again")
    verbal: Literal[False] = False
    channel: Line = "itinerant_desk"
    received_at: AwareDatetime = Field(description="The true instant of receipt: its clock runs from it")
    received_by_name: Line | None = _TAKEN_BY


class OfflineVerbal(VerbalRequestIn):
    """A request made by word of mouth at a desk without connection."""

    key: UUID
    verbal: Literal[True]
    channel: Line = "itinerant_desk"
    received_at: AwareDatetime
    received_by_name: Line | None = _TAKEN_BY


class BatchIn(Strict):
    """What an itinerant desk took while it had no connection.

    Each item is judged by itself: one that is wrong holds up no other.
    """

    desk: Line | None = Field(
        None, description="Office whose desk made the keys, one of the caller's; needed by who has several"
    )
    items: list[SkipValidation[OfflineWritten | OfflineVerbal]] = Field(min_length=1, max_length=200)


class CodeOut(BaseModel):
    """Something with a code, and its name for people."""

    code: str
    name: str


class ReceiptOut(BaseModel):
    """What the petitioner takes away."""

    id: UUID
    number: str
    tracking_code: str = Field(description="With the number it shows the request to whoever holds both")
    request_type: str
    type_name: str
    office: str
    verbal: bool
    anonymous: bool = Field(
        False, description="Nobody can be written to: number and code are the only way to the answer"
    )
    received_by: str | None = Field(None, description="The receiving official of a verbal request")
    clock: ClockOut = Field(description="`legal` says whether the term is the law's or a commitment of the entity")
    missing_fields: list[CodeOut] = Field(
        default_factory=list,
        description="What the type asks and was left out: filed all the same, and may be asked for",
    )
    tracking_url: str = Field("", description="Where citizens follow it; the code is not in it")


class BatchItemOut(BaseModel):
    """What became of one item."""

    key: UUID | None = Field(description="None if it could not be read")
    outcome: Literal["filed", "repeated", "refused"]
    receipt: ReceiptOut | None = Field(None, description="If repeated, of what was filed the first time")
    errors: list[FieldError] = Field(default_factory=list)


class BatchOut(BaseModel):
    """What became of a batch, in its order."""

    items: list[BatchItemOut]


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
    filed_by: str = Field(description="anyone, or authorities")
    confidential: bool
    fields: list[dict[str, Any]] = Field(description="What is asked beyond the subject")
    term: TermOut | None = Field(None, description="The term in force today; none if the due date is set case by case")
