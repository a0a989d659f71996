"""Every table this service owns, besides those of the seam."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from tejido_shared import db
from tejido_shared.ids import new_id
from tejido_shared.personal import Personal

_DUE = "coalesce(due_date, '9999-12-31'::date)"
"""What lists are ordered by: a request without a due date comes last. See `search.queries.due_order`."""


class Base(DeclarativeBase):
    metadata = db.new_metadata()
    type_annotation_map = db.TYPES


class ServiceRequest(Base):
    """A citizen's request and its legal clock.

    The clock is derived from the request's history (`tejido_requests.clocks`); here is what came out and what it was computed with, so
    that lists and alarms need not compute it. A paused clock has no due date, only days left.
    """

    __tablename__ = "service_request"
    __table_args__ = (
        Index("ix_service_request_alarm_at", "alarm_at", postgresql_where=text("alarm_at is not null")),
        Index("ix_service_request_office_due", "office", text(_DUE), "id"),
        Index("ix_service_request_due", text(_DUE), "id"),
        Index("ix_service_request_open", "office", text(_DUE), "id", postgresql_where=text("closed_at is null")),
        Index("ix_service_request_received_at", "received_at", "id"),
        Index(
            "ix_service_request_assignee", "assignee", text(_DUE), "id", postgresql_where=text("assignee is not null")
        ),
        Index("ix_service_request_search_tokens", "search_tokens", postgresql_using="gin"),
        Index("ix_service_request_project_id", "project_id", postgresql_where=text("project_id is not null")),
        Index(
            "ix_service_request_organization_id",
            "organization_id",
            postgresql_where=text("organization_id is not null"),
        ),
        Index("ix_service_request_parent_id", "parent_id", postgresql_where=text("parent_id is not null")),
        Index("ix_service_request_closed_at", "closed_at", "id", postgresql_where=text("closed_at is not null")),
        Index(
            "ix_service_request_merged_into_id", "merged_into_id", postgresql_where=text("merged_into_id is not null")
        ),
        Index("ix_service_request_reopens_id", "reopens_id", postgresql_where=text("reopens_id is not null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    number: Mapped[str] = mapped_column(unique=True)
    request_type: Mapped[str]
    type_name: Mapped[str] = mapped_column(comment="The law's name of the type, as it was when filed")
    office: Mapped[str]
    channel: Mapped[str]
    verbal: Mapped[bool] = mapped_column(default=False)
    language: Mapped[str] = mapped_column(default="es")
    subject: Mapped[str] = mapped_column(Personal, comment="Objeto: citizens write persons' names into it")
    reasons: Mapped[str | None] = mapped_column(Personal)
    attachments: Mapped[list[Any]] = mapped_column(default=list, comment="What documents came with it, as declared")
    petitioner_name: Mapped[str | None] = mapped_column(Personal)
    petitioner_identification: Mapped[str | None] = mapped_column(Personal)
    petitioner_email: Mapped[str | None] = mapped_column(Personal)
    petitioner_phone: Mapped[str | None] = mapped_column(Personal)
    petitioner_address: Mapped[str | None] = mapped_column(Personal)
    representative_name: Mapped[str | None] = mapped_column(Personal)
    representative_identification: Mapped[str | None] = mapped_column(Personal)
    filed_by: Mapped[str | None] = mapped_column(comment="Subject of the petitioner's account, if there was one")
    received_by: Mapped[str | None] = mapped_column(comment="Subject of the official who received it")
    received_by_name: Mapped[str | None] = mapped_column(Personal, comment="As the official's token had it")
    tracking_code: Mapped[str] = mapped_column(Personal)
    organization_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(
        default="received",
        comment="Open: received, paused, answered. Closed: notified, withdrawn, transferred, split, merged",
    )
    closed_at: Mapped[datetime | None] = mapped_column(comment="When a status that ends it was reached")
    anonymous: Mapped[bool] = mapped_column(default=False)
    confidential: Mapped[bool] = mapped_column(
        default=False, comment="The petitioner's identity is shown on demand only"
    )
    minor: Mapped[bool] = mapped_column(default=False, comment="The petitioner is a minor")
    priority: Mapped[bool] = mapped_column(default=False, comment="Priority attention: Ley 1755/2015 art. 20")
    priority_reason: Mapped[str | None] = mapped_column(Personal)
    addressees: Mapped[list[Any]] = mapped_column(default=list, comment="Offices and authorities it names")
    place_address: Mapped[str | None] = mapped_column(Personal)
    area: Mapped[str | None] = mapped_column(comment="Code of the jurisdiction's area")
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    answers_given: Mapped[str | None] = mapped_column(Personal, comment="JSON: what the type asks beyond the subject")
    missing_at_receipt: Mapped[str | None] = mapped_column(
        Personal, comment="What was missing when it was received because the petitioner insisted (CPACA art. 15)"
    )
    assignee: Mapped[str | None] = mapped_column(comment="Subject of the officer who works on it")
    assigned_at: Mapped[datetime | None]
    parent_id: Mapped[UUID | None] = mapped_column(comment="The request it was split from")
    merged_into_id: Mapped[UUID | None] = mapped_column(comment="The request that answers it")
    reopens_id: Mapped[UUID | None] = mapped_column(
        comment="The request whose answer it disputes; that one's outcome stays"
    )
    search_tokens: Mapped[list[str] | None] = mapped_column(
        ARRAY(Text), comment="Keyed hashes of the words, to find without keeping the words in the clear"
    )
    held_at: Mapped[datetime | None] = mapped_column(comment="Since when a legal hold keeps it from being erased")
    tombstoned_at: Mapped[datetime | None] = mapped_column(comment="When its personal data was erased")

    received_at: Mapped[datetime]
    term_unit: Mapped[str | None] = mapped_column(comment="Null when the asking authority set the due date")
    term_n: Mapped[int | None]
    term_article: Mapped[str | None]
    term_extension_max: Mapped[int | None] = mapped_column(comment="The most it may be extended by, in the term's unit")
    term_copies_within: Mapped[int | None] = mapped_column(comment="Open days after silence to hand over copies")
    terms_version: Mapped[str]
    term_kind: Mapped[str | None] = mapped_column(
        comment="legal, or service_commitment, which no text may call the law"
    )
    calendar_version: Mapped[int] = mapped_column(comment="Number of the calendar version it is computed with")
    policy: Mapped[dict[str, Any]] = mapped_column(comment="The counting policy it was computed with")
    effective_receipt_date: Mapped[date]
    clock_version: Mapped[int] = mapped_column(default=1, comment="Grows whenever the due date moves")
    due_date: Mapped[date | None]
    due_soon_from: Mapped[date | None]
    overdue_at: Mapped[datetime | None]
    first_due_date: Mapped[date | None] = mapped_column(comment="As it was told on the receipt")
    days_left: Mapped[int | None] = mapped_column(comment="Of a paused clock")
    paused_at: Mapped[datetime | None]
    citizen_due_date: Mapped[date | None] = mapped_column(comment="Until when the citizen may complete it")
    extended_by: Mapped[int | None] = mapped_column(comment="In the term's unit")
    alarm_at: Mapped[datetime | None] = mapped_column(
        comment="The next instant the sweep must look at it; null when none"
    )
    overdue_announced_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]

    answer_id: Mapped[UUID | None]
    answer: Mapped[str | None] = mapped_column(Personal)
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]
    answer_number: Mapped[str | None] = mapped_column(unique=True, comment="The outgoing number, child of `number`")
    answer_kind: Mapped[str | None] = mapped_column(comment="answer or refusal")
    first_answer_at: Mapped[datetime | None] = mapped_column(comment="First answer of any kind, a partial one too")
    notified_at: Mapped[datetime | None] = mapped_column(comment="The clock stops here")
    on_time: Mapped[bool | None] = mapped_column(comment="The outcome, frozen when the clock stops")
    notification_evidence: Mapped[str | None] = mapped_column(Personal)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class HistoryEntry(Base):
    """What happened to a request: legal acts and everything else, with who, when, why and the proof. Rows are only ever added.

    `details` holds no personal data. `digest` covers what is encrypted, so that the audit chain holds after that was erased.
    """

    __tablename__ = "history_entry"
    __table_args__ = (
        Index("ix_history_entry_request_id", "request_id", "at"),
        Index("ix_history_entry_recorded_at", "recorded_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("service_request.id"))
    at: Mapped[datetime] = mapped_column(comment="When it took effect")
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    kind: Mapped[str]
    author: Mapped[str | None] = mapped_column(
        comment="Subject of an account; null for the citizen without one and the system"
    )
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    calendar_version: Mapped[int | None] = mapped_column(comment="In force when an act that moves a clock was recorded")
    reason: Mapped[str | None] = mapped_column(Personal)
    evidence: Mapped[str | None] = mapped_column(Personal)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary, comment="SHA-256 of reason and evidence as encrypted")

    link: Mapped["AuditLink | None"] = relationship(
        primaryjoin="HistoryEntry.id == foreign(AuditLink.entry_id)", viewonly=True, uselist=False, lazy="raise"
    )


class AuditLink(Base):
    """One link of the chain over all history and all access records: `hash` covers the entry and the link before."""

    __tablename__ = "audit_link"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry_id: Mapped[UUID] = mapped_column(unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class AuditHead(Base):
    """Where the chain ends, in one row."""

    __tablename__ = "audit_head"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_until: Mapped[datetime] = mapped_column(comment="Nothing recorded before this instant waits for its link")


class AccessRecord(Base):
    """Who looked at something confidential: see `audit.service.record_access`. Rows are only ever added."""

    __tablename__ = "access_record"
    __table_args__ = (
        Index("ix_access_record_request_id", "request_id", "at"),
        Index("ix_access_record_recorded_at", "recorded_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID]
    at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    subject: Mapped[str]
    what: Mapped[str] = mapped_column(comment="identity, history, attachment, export, receipt")
    reason: Mapped[str | None] = mapped_column(Personal)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary, comment="SHA-256 of the reason as encrypted")


class StoppedClock(Base):
    """The outcome of a clock, frozen with the rules it ran under. Rows are only ever added."""

    __tablename__ = "stopped_clock"
    __table_args__ = (UniqueConstraint("request_id", "clock", "started_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("service_request.id"))
    clock: Mapped[str]
    started_at: Mapped[datetime]
    stopped_at: Mapped[datetime]
    due_date: Mapped[date | None]
    overdue_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(comment="on_time, late, void")
    terms_version: Mapped[str]
    calendar_version: Mapped[int]


class Announcement(Base):
    """A threshold of a clock that was passed. Its key is why nothing is announced twice."""

    __tablename__ = "announcement"

    request_id: Mapped[UUID] = mapped_column(ForeignKey("service_request.id"), primary_key=True)
    clock: Mapped[str] = mapped_column(primary_key=True)
    threshold: Mapped[str] = mapped_column(primary_key=True)
    clock_version: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    told: Mapped[bool] = mapped_column(comment="False when a later threshold of the same clock had passed already")


class ReceiptCounter(Base):
    """The last number of a series given in a year. Its row lock makes numbers consecutive; a rollback gives the number back."""

    __tablename__ = "receipt_counter"

    series: Mapped[str] = mapped_column(primary_key=True, comment="received, answered")
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]


class CalendarVersion(Base):
    """A state of the calendar. Version 1 is the jurisdiction pack's; each later one came of a confirmed change."""

    __tablename__ = "calendar_version"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    author: Mapped[str | None]
    note: Mapped[str] = mapped_column(default="")
    fingerprint: Mapped[str]


class ClosureRecord(Base):
    """Closed days and the act that says so, in force in the versions from `since` and before `until`. Never edited in place."""

    __tablename__ = "closure"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    since: Mapped[int] = mapped_column(ForeignKey("calendar_version.number"))
    until: Mapped[int | None] = mapped_column(ForeignKey("calendar_version.number"))
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    name: Mapped[str]
    act: Mapped[str]
    scope: Mapped[str] = mapped_column(comment="country, province, municipality")
    suspends_terms: Mapped[bool]
    open_for_filing: Mapped[bool]
    except_types: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    declared_at: Mapped[date | None]
    declared_by: Mapped[str | None] = mapped_column(
        comment="Subject of the account that recorded it; null for the pack's"
    )


class ConfirmedYear(Base):
    """A person said that the closures of this year are complete."""

    __tablename__ = "confirmed_year"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    confirmed_at: Mapped[datetime]
    confirmed_by: Mapped[str | None] = mapped_column(comment="Null for those of the pack")


class ClosureProposal(Base):
    """A closure somebody or some library proposes; a person accepts or rejects it line by line."""

    __tablename__ = "closure_proposal"
    __table_args__ = (UniqueConstraint("source", "starts_on", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    source: Mapped[str] = mapped_column(comment="holidays 0.108, icalendar, pack")
    year: Mapped[int]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    name: Mapped[str]
    scope: Mapped[str]
    status: Mapped[str] = mapped_column(default="pending", comment="pending, accepted, rejected")
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    reason: Mapped[str | None]


class CalendarChange(Base):
    """Closures to be declared or withdrawn, with what that moves; once confirmed, how far the re-dating has come."""

    __tablename__ = "calendar_change"
    __table_args__ = (Index("ix_calendar_change_running", "status", postgresql_where=text("status = 'confirmed'")),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    declared: Mapped[list[Any]] = mapped_column(default=list, comment="Closures, as in the pack")
    withdrawn: Mapped[list[Any]] = mapped_column(default=list, comment="Keys of closures")
    based_on: Mapped[int] = mapped_column(comment="Calendar version the preview was computed on")
    preview: Mapped[dict[str, Any]] = mapped_column(default=dict)
    status: Mapped[str] = mapped_column(default="draft", comment="draft, confirmed, done, incomplete, dropped")
    confirmed_at: Mapped[datetime | None]
    confirmed_by: Mapped[str | None]
    calendar_version: Mapped[int | None]
    first_day: Mapped[date | None]
    last_day: Mapped[date | None]
    cursor: Mapped[UUID | None] = mapped_column(comment="The last request looked at")
    seen: Mapped[int] = mapped_column(default=0)
    moved: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Attachment(Base):
    """A document of a request. The bytes are in the file store, encrypted."""

    __tablename__ = "attachment"
    __table_args__ = (
        UniqueConstraint("request_id", "sha256", "purpose"),
        Index("ix_attachment_to_scan", "id", postgresql_where=text("scanned_at is null and not infected")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("service_request.id"))
    purpose: Mapped[str] = mapped_column(comment="petition, completion, evidence, answer, note")
    public: Mapped[bool] = mapped_column(default=True, comment="The citizen sees it with number and code")
    key: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(Personal)
    media_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    scanned_at: Mapped[datetime | None] = mapped_column(comment="When a scanner looked at it")
    infected: Mapped[bool] = mapped_column(default=False)
    uploaded_at: Mapped[datetime]
    uploaded_by: Mapped[str | None]


class Draft(Base):
    """An answer in the making: written, submitted, approved or returned, issued."""

    __tablename__ = "draft"
    __table_args__ = (Index("ix_draft_request_id", "request_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("service_request.id"))
    kind: Mapped[str] = mapped_column(comment="answer, partial, refusal")
    text: Mapped[str] = mapped_column(Personal)
    status: Mapped[str] = mapped_column(default="written", comment="written, submitted, approved, returned, issued")
    author: Mapped[str]
    written_at: Mapped[datetime]
    submitted_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    remark: Mapped[str | None] = mapped_column(Personal)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Note(Base):
    """What an officer notes for colleagues; the citizen does not see it."""

    __tablename__ = "note"
    __table_args__ = (Index("ix_note_request_id", "request_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("service_request.id"))
    at: Mapped[datetime]
    author: Mapped[str]
    text: Mapped[str] = mapped_column(Personal)


class DeskOfficer(Base):
    """An officer of a desk, and whether work may be given to them."""

    __tablename__ = "desk_officer"

    subject: Mapped[str] = mapped_column(primary_key=True)
    office: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(Personal, comment="Where reminders for them go")
    present: Mapped[bool] = mapped_column(default=True)
    away_until: Mapped[date | None]
    changed_at: Mapped[datetime]


class SavedView(Base):
    """A search somebody keeps."""

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    owner: Mapped[str]
    name: Mapped[str]
    office: Mapped[str | None] = mapped_column(comment="The office it is shared with")
    query: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Rating(Base):
    """What the citizen thinks of the answer."""

    __tablename__ = "rating"

    request_id: Mapped[UUID] = mapped_column(ForeignKey("service_request.id"), primary_key=True)
    stars: Mapped[int]
    comment: Mapped[str | None] = mapped_column(Personal)
    at: Mapped[datetime]


class Tombstone(Base):
    """What remains of a request whose personal data was erased, and why it was."""

    __tablename__ = "tombstone"

    request_id: Mapped[UUID] = mapped_column(ForeignKey("service_request.id"), primary_key=True)
    batch: Mapped[UUID]
    number: Mapped[str]
    request_type: Mapped[str]
    status: Mapped[str]
    received_at: Mapped[datetime]
    closed_at: Mapped[datetime]
    reason: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]


class KnownOrganization(Base):
    """What this service knows of an organization, from events of the registry."""

    __tablename__ = "known_organization"
    __table_args__ = (
        Index("ix_known_organization_merged_into", "merged_into", postgresql_where=text("merged_into is not null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    number: Mapped[str]
    name: Mapped[str]
    merged_into: Mapped[UUID | None] = mapped_column(comment="The organization it was found to be")


class KnownProject(Base):
    """What this service knows of a project, from events of the projects service."""

    __tablename__ = "known_project"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    number: Mapped[str]
    title: Mapped[str]
    stage: Mapped[str]
