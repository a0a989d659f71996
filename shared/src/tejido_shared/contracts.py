"""The contract between services: the envelope, every event, and the one map of who listens to whom.

Fields are only ever added, with a default; a breaking change is a new type. Golden samples in tests/contracts keep every
published version readable. `python -m tejido_shared.contracts` prints docs/events.md.

Events carry no personal data in the clear. `Sealed` marks a text that `tejido_shared.personal.seal` encrypted.
"""

from datetime import date, datetime
from typing import Annotated, Any, ClassVar, NewType
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Sealed = NewType("Sealed", str)


class Envelope(BaseModel):
    """What travels. `version` is the contract's; `subject_version`, the entity's, only grows: a listener ignores what is older."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    type: str
    version: int = 1
    occurred_at: AwareDatetime
    correlation_id: str = ""
    traceparent: str | None = None
    subject: UUID
    subject_version: int
    data: dict[str, Any]

    @property
    def publisher(self) -> str:
        """The service that published it: the first word of the type."""
        return self.type.partition(".")[0]


class Event(BaseModel):
    """What happened, in the past tense. Unknown fields are ignored, so that an older listener reads a newer event."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]
    version: ClassVar[int] = 1
    subject: ClassVar[str]
    """Name of the field that holds the entity's key."""


class Standing(BaseModel):
    """Whether an organization may do something on the day the event was written, and if not, why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    purpose: str = Field(description="Code of the jurisdiction's purpose: apply, sign …")
    allowed: bool
    reasons: list[str] = Field(default_factory=list, description="Codes of why not: mandate_expired …")


class OrganizationChanged(Event):
    """An organization was registered, or what others know of it changed. Carries the whole public state.

    After a merge the absorbed one has the status `merged` and says where it lives on; undone, it is what it was before.
    """

    type = "registry.organization_changed"
    subject = "organization_id"

    organization_id: UUID
    number: str = Field(description="Number in the municipality's register")
    name: str
    organization_type: str = Field(description="Code of the jurisdiction's organization type")
    status: str = Field(description="Registration status: registered, inactive, suspended, cancelled …")
    territory: str | None = Field(None, description="Code of the part of the town it is in")
    themes: list[str] = Field(default_factory=list, description="What it works on")
    legal_status: str | None = Field(None, description="What it is before the law; none if nobody said")
    mandate_status: str = Field("unknown", description="current, expiring, expired, vacant or unknown")
    mandate_until: date | None = Field(None, description="Last day of whoever signs for it")
    freshness: str = Field("never", description="verified, due, stale or never")
    standing: list[Standing] = Field(default_factory=list, description="What it may do, by purpose")
    merged_into: UUID | None = Field(None, description="The organization it was found to be")


class OrganizationApplicationReceived(Event):
    """An organization filed an application with the register, which has a number and a term."""

    type = "registry.application_received"
    subject = "application_id"

    application_id: UUID
    organization_id: UUID
    number: str
    kind: str = Field(description="registration or annual_filing")
    organization_name: str
    received_at: AwareDatetime
    due_date: date = Field(description="Last day to decide")
    term: str = Field(description="The term in words: 15 días hábiles")
    article: str = Field(description="Legal source of the term")
    language: str = "es"
    recipient_name: Sealed | None = None
    recipient_email: Sealed | None = None


class AskedItem(BaseModel):
    """What an organization is asked to correct."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(description="The field or document, in words")
    reason: Sealed


class OrganizationCorrectionAsked(Event):
    """The register asked an organization to correct items of its application."""

    type = "registry.correction_asked"
    subject = "application_id"

    application_id: UUID
    organization_id: UUID
    number: str
    kind: str = Field(description="registration or annual_filing")
    organization_name: str
    items: list[AskedItem]
    until: date
    language: str = "es"
    recipient_name: Sealed | None = None
    recipient_email: Sealed | None = None


class OrganizationApplicationDecided(Event):
    """The register decided an application."""

    type = "registry.application_decided"
    subject = "application_id"

    application_id: UUID
    organization_id: UUID
    number: str
    kind: str = Field(description="registration or annual_filing")
    organization_name: str
    organization_number: str
    result: str = Field(description="accepted, rejected or withdrawn")
    reasons: Sealed | None = None
    next_filing_on: date | None = Field(None, description="Last day of the next annual filing")
    language: str = "es"
    recipient_name: Sealed | None = None
    recipient_email: Sealed | None = None


class OrganizationStatusChanged(Event):
    """An act or a date moved an organization that was registered: suspended, cancelled, inactive, registered again."""

    type = "registry.status_changed"
    subject = "organization_id"

    organization_id: UUID
    organization_name: str
    organization_number: str
    before: str = Field(description="Registration status before")
    after: str = Field(description="registered, inactive, suspended, cancelled or withdrawn")
    until: date | None = Field(None, description="Last day of a suspension")
    act: str | None = Field(None, description="Number and day of the authority's act")
    reasons: Sealed | None = None
    language: str = "es"
    recipient_name: Sealed | None = None
    recipient_email: Sealed | None = None


class OrganizationRenewalDue(Event):
    """A mandate or an annual filing of an organization ends soon. Told once for each date and number of days."""

    type = "registry.renewal_due"
    subject = "organization_id"

    organization_id: UUID
    organization_name: str
    organization_number: str
    kind: str = Field(description="mandate or filing")
    due_on: date
    days: int = Field(description="Days left")
    grace_until: date | None = Field(None, description="Of a filing: the day before it becomes inactive")
    language: str = "es"
    recipient_name: Sealed | None = None
    recipient_email: Sealed | None = None


class ProjectPresented(Event):
    """An organization presented a community project."""

    type = "projects.presented"
    subject = "project_id"

    project_id: UUID
    number: str
    title: str
    organization_id: UUID
    stage: str


class ProjectStageChanged(Event):
    """A project went from one stage to another."""

    type = "projects.stage_changed"
    subject = "project_id"

    project_id: UUID
    number: str
    title: str
    from_stage: str
    to_stage: str


class CountedDay(BaseModel):
    """One day between receipt and due date, as the citizen is told it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    day: date
    ordinal: int | None = Field(None, description="Which day of the term it is; none when the day is not counted")
    why_not: str | None = Field(None, description="Why it is not counted: weekend, or the closure and its legal act")


class RequestSubmitted(Event):
    """A request was received and numbered; its legal deadline is known."""

    type = "requests.submitted"
    subject = "request_id"

    request_id: UUID
    number: str
    request_type: str
    type_name: str = Field(description="The law's name of the type")
    office: str
    received_at: AwareDatetime
    due_date: date
    term: str = Field(description="The term in words: 15 días hábiles")
    article: str = Field(description="Legal source of the term")
    days: list[CountedDay] = Field(default_factory=list, description="From receipt to due date, day by day")
    verbal: bool = False
    confidential: bool = Field(False, description="Whether who asks is kept from all but those who must know")
    language: str = "es"
    recipient_name: Sealed | None = None
    recipient_email: Sealed | None = Field(None, description="None when the petitioner left no e-mail address")
    recipient_phone: Sealed | None = Field(None, description="Where they are told if there is no e-mail address")
    tracking_code: Sealed


class RequestAccessChanged(Event):
    """Who may see the petitioner of a request changed: it was moved to another office, or the identity was hidden or is shown again."""

    type = "requests.access_changed"
    subject = "request_id"

    request_id: UUID
    office: str
    confidential: bool


class RequestBecameOverdue(Event):
    """The term ended and no answer had been notified. Announced once per request and due date."""

    type = "requests.became_overdue"
    subject = "request_id"

    request_id: UUID
    number: str
    type_name: str
    office: str
    received_at: AwareDatetime
    due_date: date
    overdue_at: AwareDatetime
    send_from: AwareDatetime | None = Field(
        None, description="When the offices are open: people are told then, not at midnight"
    )


class RequestReminder(Event):
    """A clock of a request reaches a threshold of which somebody in the house is told. Once per clock, threshold and due date."""

    type = "requests.reminder"
    subject = "request_id"

    request_id: UUID
    number: str
    type_name: str
    office: str
    clock: str = Field(
        description="answer, acknowledgement, completion_window, citizen_completion, draft, approval, copies, appeal"
    )
    threshold: str = Field(description="due_soon, or open days from the due date: -1, +0, +3")
    due_date: date
    to: list[str] = Field(description="assignee, office, head, authority")
    send_from: AwareDatetime = Field(description="When the offices are open")
    assignee: str | None = Field(None, description="Subject of the officer's account")
    assignee_email: Sealed | None = None


class RequestMessageUndelivered(Event):
    """A mail to the petitioner could not be delivered: the office must find another way, while the clock goes on."""

    type = "requests.message_undelivered"
    subject = "request_id"

    request_id: UUID
    number: str
    type_name: str
    office: str
    cause: str = Field(
        description="What it told of: answered, completion_asked, extension_announced, due_date_moved, transferred, withdrawn"
    )
    failed_at: AwareDatetime
    due_date: date | None = Field(None, description="Of the answer, while its clock runs")
    send_from: AwareDatetime = Field(description="When the offices are open")
    assignee: str | None = Field(None, description="Subject of the officer's account")
    assignee_email: Sealed | None = None


class _ToldToCitizen(Event):
    """What an event that the citizen is told of carries of the request and its petitioner."""

    request_id: UUID
    number: str
    type_name: str
    office: str
    language: str = "es"
    recipient_name: Sealed | None = None
    recipient_email: Sealed | None = Field(None, description="None when the petitioner left no e-mail address")
    recipient_phone: Sealed | None = Field(None, description="Where they are told if there is no e-mail address")


class RequestCompletionAsked(_ToldToCitizen):
    """The office asked the petitioner to complete the request; its clock rests until then (Ley 1755/2015 art. 17)."""

    type = "requests.completion_asked"
    subject = "request_id"

    asked_at: AwareDatetime
    what: Sealed = Field(description="What is missing")
    complete_until: date | None = Field(None, description="Then withdrawal may be decided")
    days_left: int | None = Field(None, description="Of the term, once completed")
    may_be_extended: bool = Field(False, description="Whether the petitioner may ask for more time")


class RequestExtensionAnnounced(_ToldToCitizen):
    """The office needs longer and says why, before the term ends (art. 14 par.). It holds once the petitioner was told, with proof."""

    type = "requests.extension_announced"
    subject = "request_id"

    notice_id: UUID
    announced_at: AwareDatetime
    reasons: Sealed
    due_date: date
    new_due_date: date


class RequestDueDateMoved(_ToldToCitizen):
    """The due date moved later for a reason the petitioner must know: a closure was declared, or the type was corrected."""

    type = "requests.due_date_moved"
    subject = "request_id"

    moved_at: AwareDatetime
    cause: str = Field(description="closure, retype")
    old_due_date: date | None
    new_due_date: date | None
    act: str = Field("", description="The closure's name and legal act, or the article of the type")


class RequestTransferred(_ToldToCitizen):
    """Another authority must answer; the request was sent there (art. 21)."""

    type = "requests.transferred"
    subject = "request_id"

    transferred_at: AwareDatetime
    authority: str
    reasons: Sealed
    evidence: Sealed


class RequestWithdrawn(_ToldToCitizen):
    """The request was withdrawn: by the petitioner, or tacitly, by a reasoned act that is notified (art. 17)."""

    type = "requests.withdrawn"
    subject = "request_id"

    withdrawn_at: AwareDatetime
    tacit: bool
    reasons: Sealed | None = None


class RequestAnswered(Event):
    """The answer was issued. The clock stops when it is notified, not now (T-149/2013)."""

    type = "requests.answered"
    subject = "request_id"

    request_id: UUID
    number: str
    type_name: str
    answer_id: UUID
    answered_at: AwareDatetime
    language: str = "es"
    recipient_name: Sealed | None = None
    recipient_email: Sealed | None = None
    recipient_phone: Sealed | None = Field(None, description="Where they are told if there is no e-mail address")
    answer: Sealed
    answer_number: str = Field("", description="Outgoing number")
    office: str = ""
    kind: str = Field("answer", description="answer, partial, refusal")
    appeal_until: str = Field("", description="In words, how long and to whom it may be appealed")


class RequestErased(Event):
    """The personal data of a request was erased, its time being over: whoever holds a copy erases it too."""

    type = "requests.erased"
    subject = "request_id"

    request_id: UUID
    erased_at: AwareDatetime


class MessageDelivered(Event):
    """A message was accepted by the recipient's mail server: the proof a notification needs."""

    type = "notifications.delivered"
    subject = "message_id"

    message_id: UUID
    cause_id: UUID = Field(description="Id of the event the message tells of")
    cause_type: str
    about: UUID = Field(description="The entity that event was about, e.g. the request")
    channel: str = "email"
    delivered_at: AwareDatetime
    evidence: str = Field(description="The server's own words, without addresses")


class MessageFailed(Event):
    """A message could not be delivered and will not be tried again."""

    type = "notifications.failed"
    subject = "message_id"

    message_id: UUID
    cause_id: UUID
    cause_type: str
    about: UUID
    channel: str = "email"
    failed_at: AwareDatetime
    reason: str


class ProofSeen(Event):
    """Somebody looked at the proof of a notice, with who it went to, and said why."""

    type = "notifications.proof_seen"
    subject = "message_id"

    message_id: UUID
    cause_type: str
    about: UUID
    seen_at: AwareDatetime
    by: str = Field(description="Subject of the official's account")
    reason: Sealed


class OrganizationUnreachable(Event):
    """A message for an organization came back, or could not be delivered because nobody is at its address."""

    type = "notifications.organization_unreachable"
    subject = "organization_id"

    organization_id: UUID
    channel: str = "email"
    at: AwareDatetime


def _kinds(of: type[Event]) -> list[type[Event]]:
    return [kind for event in of.__subclasses__() for kind in ([event] if "type" in vars(event) else _kinds(event))]


EVENTS: dict[str, type[Event]] = {event.type: event for event in _kinds(Event)}

LISTENERS: dict[type[Event], Annotated[tuple[str, ...], "names of services"]] = {
    OrganizationChanged: ("projects", "requests", "notifications"),
    OrganizationApplicationReceived: ("notifications",),
    OrganizationCorrectionAsked: ("notifications",),
    OrganizationApplicationDecided: ("notifications",),
    OrganizationStatusChanged: ("notifications",),
    OrganizationRenewalDue: ("notifications",),
    ProjectPresented: ("requests", "notifications"),
    ProjectStageChanged: ("requests", "notifications"),
    RequestSubmitted: ("notifications",),
    RequestBecameOverdue: ("notifications",),
    RequestReminder: ("notifications",),
    RequestMessageUndelivered: ("notifications",),
    RequestCompletionAsked: ("notifications",),
    RequestExtensionAnnounced: ("notifications",),
    RequestDueDateMoved: ("notifications",),
    RequestTransferred: ("notifications",),
    RequestWithdrawn: ("notifications",),
    RequestAnswered: ("notifications",),
    RequestErased: ("notifications",),
    RequestAccessChanged: ("notifications",),
    ProofSeen: ("requests",),
    MessageDelivered: ("requests",),
    MessageFailed: ("requests",),
    OrganizationUnreachable: ("registry",),
}
"""Who listens to whom. The publisher is the first word of the event's type."""

SERVICES = ("registry", "projects", "requests", "notifications")


def as_markdown() -> str:
    """The page docs/events.md."""
    lines = [
        "# Events",
        "",
        "Written by `./tejido check --fix` from `tejido_shared.contracts`; do not edit.",
        "",
        "Every event travels in an envelope: "
        + ", ".join(f"`{name}`" for name in Envelope.model_fields)
        + ". *Sealed* fields are encrypted.",
        "",
        "| event | publisher | listeners |",
        "|---|---|---|",
    ]
    for name, event in EVENTS.items():
        lines.append(
            f"| [`{name}`](#{name.replace('.', '')}) | {name.partition('.')[0]} | {', '.join(LISTENERS[event])} |"
        )
    for name, event in EVENTS.items():
        lines += [
            "",
            f"## {name}",
            "",
            (event.__doc__ or "").strip(),
            "",
            "| field | type | meaning |",
            "|---|---|---|",
        ]
        for field_name, field in event.model_fields.items():
            described = str(field.annotation if field.annotation.__class__ is not type else field.annotation.__name__)
            described = (
                described.replace("tejido_shared.contracts.", "")
                .replace("__main__.", "")
                .replace("uuid.", "")
                .replace("datetime.", "")
            )
            lines.append(f"| `{field_name}` | {described.replace('|', 'or')} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def envelope_of(
    event: Event,
    *,
    event_id: UUID,
    subject_version: int,
    occurred_at: datetime,
    correlation_id: str,
    traceparent: str | None,
) -> Envelope:
    """Wraps an event for its journey."""
    return Envelope(
        id=event_id,
        type=event.type,
        version=event.version,
        occurred_at=occurred_at,
        correlation_id=correlation_id,
        traceparent=traceparent,
        subject=getattr(event, event.subject),
        subject_version=subject_version,
        data=event.model_dump(mode="json"),
    )


def event_in(envelope: Envelope) -> Event:
    """The typed event inside. Raises `KeyError` for a type nobody knows and `pydantic.ValidationError` for data that does not fit."""
    return EVENTS[envelope.type].model_validate(envelope.data)


if __name__ == "__main__":
    print(as_markdown(), end="")
