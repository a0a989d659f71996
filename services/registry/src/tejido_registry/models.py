"""Every table this service owns, besides those of the seam."""

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Computed, ForeignKey, Identity, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from tejido_shared import db
from tejido_shared.ids import new_id
from tejido_shared.personal import Personal

# Punctuation goes first, or PostgreSQL takes "Bib.Pop." for the name of a host and finds neither word. Plain words are for
# prefixes, stems for singular and plural.
_NAMES = "regexp_replace(fold(name || ' ' || coalesce(public_name, '') || ' ' || other_names::text), '[^[:alnum:]]+', ' ', 'g')"
_BLURRED = "blurred_point(blur_seed, latitude, longitude, blur_meters)"
_PUBLIC = "case point_shown when 'exact' then {column} when 'blurred' then ({blurred})[{index}] end"
PUBLIC_LATITUDE = _PUBLIC.format(column="latitude", blurred=_BLURRED, index=1)
PUBLIC_LONGITUDE = _PUBLIC.format(column="longitude", blurred=_BLURRED, index=2)
SEARCHABLE = f"to_tsvector('simple'::regconfig, {_NAMES}) || to_tsvector('spanish'::regconfig, {_NAMES})"


class Base(DeclarativeBase):
    metadata = db.new_metadata()
    type_annotation_map = db.TYPES


class Organization(Base):
    """An organization of the register, on four independent axes.

    `registration_status` is moved by acts and by dates, `legal_status` is what it is before the law; `mandate_status` and `freshness`
    are computed from mandates and verifications (`axes`), kept here so that lists can be filtered, and right until `axes_due_on`.
    """

    __tablename__ = "organization"
    __table_args__ = (
        Index("ix_organization_searchable", "searchable", postgresql_using="gin"),
        Index(
            "ix_organization_folded_names",
            "folded_names",
            postgresql_using="gin",
            postgresql_ops={"folded_names": "gin_trgm_ops"},
        ),
        Index("ix_organization_sort_name", "sort_name", "id"),
        Index("ix_organization_registered_at", "registered_at", "id"),
        Index("ix_organization_latitude_longitude", "latitude", "longitude"),
        Index("ix_organization_public_point", "public_latitude", "public_longitude"),
        Index("ix_organization_axes_due_on", "axes_due_on"),
        Index("ix_organization_merged_into", "merged_into", postgresql_where=text("merged_into is not null")),
        Index("ix_organization_captured_by", "captured_by", postgresql_where=text("not on_behalf")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    number: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    public_name: Mapped[str | None]
    other_names: Mapped[list[Any]] = mapped_column(default=list)
    organization_type: Mapped[str] = mapped_column(comment="Code of the jurisdiction pack")
    address: Mapped[str | None]
    locality: Mapped[str | None] = mapped_column(comment="Town or village")
    territory: Mapped[str | None] = mapped_column(comment="District, localidad or barrio within it")
    latitude: Mapped[float | None] = mapped_column(comment="Degrees, WGS 84")
    longitude: Mapped[float | None] = mapped_column(comment="Degrees, WGS 84")
    area: Mapped[str | None] = mapped_column(comment="District or localidad: code of the jurisdiction pack")
    area_found: Mapped[str | None] = mapped_column(
        comment="The area that its point lies in; what was typed may disagree"
    )
    neighborhood: Mapped[str | None] = mapped_column(comment="Barrio")
    purpose: Mapped[str | None]
    founded_on: Mapped[date | None]
    website: Mapped[str | None]
    themes: Mapped[list[Any]] = mapped_column(default=list, comment="Codes of the jurisdiction pack")
    populations: Mapped[list[Any]] = mapped_column(default=list, comment="Codes of the jurisdiction pack")
    registration_status: Mapped[str]
    status_until: Mapped[date | None] = mapped_column(comment="Last day of a suspension, or to correct what was asked")
    legal_status: Mapped[str | None] = mapped_column(comment="Null: nobody said")
    mandate_status: Mapped[str] = mapped_column(default="unknown")
    mandate_until: Mapped[date | None] = mapped_column(comment="Last day of whoever signs for it now")
    freshness: Mapped[str] = mapped_column(default="never")
    verified_on: Mapped[date | None]
    filing_due_on: Mapped[date | None] = mapped_column(comment="Last day for the next annual filing")
    standing: Mapped[dict[str, Any]] = mapped_column(
        default=dict, comment="Purpose: codes of why not; as last told to others"
    )
    axes_due_on: Mapped[date | None] = mapped_column(comment="The day on which a date changes an axis next")
    contact_bounced_at: Mapped[datetime | None] = mapped_column(comment="Its mail came back; null once it has another")
    merged_into: Mapped[UUID | None] = mapped_column(ForeignKey("organization.id"), comment="Where it lives on")
    captured_by: Mapped[str | None] = mapped_column(comment="Subject of who entered it; null for a command")
    on_behalf: Mapped[bool] = mapped_column(default=True, comment="An official entered it; else who did acts for it")
    point_shown: Mapped[str] = mapped_column(default="hidden", comment="To the public: exact, blurred or hidden")
    blur_meters: Mapped[int | None] = mapped_column(comment="How far from the true point a blurred one may be")
    blur_seed: Mapped[UUID] = mapped_column(
        default=uuid4, deferred=True, comment="Secret, drawn once: where its blurred point lies follows from it"
    )
    registered_at: Mapped[datetime] = mapped_column(comment="Entry in the register; of a draft, its beginning")
    changed_at: Mapped[datetime] = mapped_column(comment="The row's last change; says nothing about its truth")
    public_latitude: Mapped[float | None] = mapped_column(Computed(PUBLIC_LATITUDE, persisted=True))
    public_longitude: Mapped[float | None] = mapped_column(Computed(PUBLIC_LONGITUDE, persisted=True))
    sort_name: Mapped[str] = mapped_column(Computed("left(fold(name), 100)", persisted=True))
    folded_names: Mapped[str] = mapped_column(Computed(_NAMES, persisted=True), deferred=True)
    searchable: Mapped[Any] = mapped_column(TSVECTOR, Computed(SEARCHABLE, persisted=True), deferred=True)

    identifiers: Mapped[list["Identifier"]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by=lambda: (Identifier.scheme, Identifier.value)
    )
    contacts: Mapped[list["Contact"]] = relationship(
        cascade="all, delete-orphan", lazy="select", order_by=lambda: Contact.position
    )
    branches: Mapped[list["Branch"]] = relationship(
        cascade="all, delete-orphan", lazy="select", order_by=lambda: Branch.position
    )
    profile: Mapped["PublicProfile | None"] = relationship(lazy="select", viewonly=True)

    __mapper_args__ = {"version_id_col": version, "eager_defaults": False}  # noqa: RUF012


class Identifier(Base):
    """A number that another register gave to an organization."""

    __tablename__ = "identifier"
    __table_args__ = (
        Index("uq_identifier_scheme_value", "scheme", "value", unique=True, postgresql_where=text("exclusive")),
        Index("ix_identifier_value", "value"),
        Index("ix_identifier_organization_id", "organization_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    scheme: Mapped[str]
    value: Mapped[str] = mapped_column(comment="Without separators; a NIT without its check digit")
    check_digit: Mapped[str | None] = mapped_column(comment="Of a NIT: typed by a person, never inferred")
    exclusive: Mapped[bool] = mapped_column(comment="The scheme gave each number once when this was stored")
    of_a_person: Mapped[bool] = mapped_column(comment="A person's tax number: for officials only")


class Contact(Base):
    """How to reach an organization, and through whom."""

    __tablename__ = "contact"
    __table_args__ = (Index("ix_contact_organization_id", "organization_id", "position"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    position: Mapped[int]
    name: Mapped[str | None] = mapped_column(Personal)
    post: Mapped[str | None] = mapped_column(comment="What the person is in the organization")
    email: Mapped[str | None] = mapped_column(Personal)
    phone: Mapped[str | None] = mapped_column(Personal)


class ExternalReference(Base):
    """Under which key another register knows an organization, and what it last said: an import repeats without doubling."""

    __tablename__ = "external_reference"
    __table_args__ = (Index("ix_external_reference_organization_id", "organization_id"),)

    source: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    fingerprint: Mapped[str] = mapped_column(comment="Of the row as last imported; the same again changes nothing")


class HistoryEntry(Base):
    """What happened to an organization, in order; rows are only ever added."""

    __tablename__ = "organization_history"
    __table_args__ = (Index("ix_organization_history_organization_id", "organization_id", "at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    at: Mapped[datetime]
    kind: Mapped[str]
    author: Mapped[str | None] = mapped_column(comment="Subject of an account; null for a command")
    reason: Mapped[str | None] = mapped_column(Personal, comment="May name persons")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Branch(Base):
    """A further place (sede) of an organization."""

    __tablename__ = "branch"
    __table_args__ = (Index("ix_branch_organization_id", "organization_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    position: Mapped[int]
    name: Mapped[str]
    address: Mapped[str | None]
    locality: Mapped[str | None]
    area: Mapped[str | None] = mapped_column(comment="Code of the jurisdiction pack")
    latitude: Mapped[float | None] = mapped_column(comment="Degrees, WGS 84")
    longitude: Mapped[float | None] = mapped_column(comment="Degrees, WGS 84")


class Application(Base):
    """A procedure of an organization before the register: to be entered, or its annual filing. Numbered, with a term."""

    __tablename__ = "application"
    __table_args__ = (
        Index("ix_application_organization_id", "organization_id"),
        Index("ix_application_status_due_on", "status", "due_on"),
        Index(
            "uq_application_open",
            "organization_id",
            "kind",
            unique=True,
            postgresql_where=text("status in ('submitted', 'in_review', 'needs_correction')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    kind: Mapped[str] = mapped_column(comment="registration or annual_filing")
    period: Mapped[int | None] = mapped_column(comment="Year an annual filing is of")
    number: Mapped[str] = mapped_column(unique=True, comment="Of the receipt")
    status: Mapped[str] = mapped_column(comment="submitted, in_review, needs_correction, accepted, rejected, withdrawn")
    submitted_at: Mapped[datetime]
    submitted_by: Mapped[str]
    on_behalf: Mapped[bool] = mapped_column(comment="An officer filed it at a counter for the organization")
    consented_at: Mapped[datetime | None] = mapped_column(comment="To the treatment of personal data")
    due_on: Mapped[date] = mapped_column(comment="Last day to decide")
    reviewer: Mapped[str | None]
    correction_until: Mapped[date | None]
    corrections: Mapped[int] = mapped_column(default=0, comment="How often it was asked to correct")
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    reasons: Mapped[str | None] = mapped_column(Personal)
    note: Mapped[str | None] = mapped_column(Personal, comment="The organization's words when it filed")

    __mapper_args__ = {"version_id_col": version, "eager_defaults": False}  # noqa: RUF012


class Defect(Base):
    """An item that an application was asked to correct; the only ones that may be edited meanwhile."""

    __tablename__ = "defect"
    __table_args__ = (Index("ix_defect_application_id", "application_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    application_id: Mapped[UUID] = mapped_column(ForeignKey("application.id"))
    round: Mapped[int] = mapped_column(comment="1 for the first time it was asked")
    item: Mapped[str] = mapped_column(comment="A field of the organization, or document:<code>")
    reason: Mapped[str] = mapped_column(Personal)
    corrected_at: Mapped[datetime | None]


class Document(Base):
    """A document that was handed in once and serves every procedure until it expires. The file is encrypted in the store."""

    __tablename__ = "document"
    __table_args__ = (Index("ix_document_organization_id", "organization_id", "document_type"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    document_type: Mapped[str] = mapped_column(comment="Code of the jurisdiction pack")
    personal: Mapped[bool] = mapped_column(comment="It tells of persons")
    issued_on: Mapped[date | None]
    expires_on: Mapped[date | None] = mapped_column(comment="Last day it is good for")
    file_key: Mapped[UUID]
    file_name: Mapped[str] = mapped_column(Personal)
    media_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger, comment="Bytes")
    sha256: Mapped[str]
    scanned_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(comment="handed_in, verified, refused or replaced")
    handed_in_at: Mapped[datetime]
    handed_in_by: Mapped[str]
    judged_at: Mapped[datetime | None]
    judged_by: Mapped[str | None]
    reason: Mapped[str | None] = mapped_column(Personal, comment="Why it was refused")


class Access(Base):
    """Who saw personal data: a document, or a person's. Rows are only ever added."""

    __tablename__ = "access"
    __table_args__ = (Index("ix_access_organization_id", "organization_id", "at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    at: Mapped[datetime]
    subject: Mapped[str] = mapped_column(comment="Of the account")
    what: Mapped[str] = mapped_column(comment="document or person")
    seen: Mapped[UUID] = mapped_column(comment="Its key")


class Person(Base):
    """Somebody who holds an office in an organization. Never public, in no event."""

    __tablename__ = "person"
    __table_args__ = (Index("ix_person_document_mark", "document_mark"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(Personal)
    document_kind: Mapped[str | None] = mapped_column(comment="cc, ce, dni, passport, other")
    document: Mapped[str | None] = mapped_column(Personal)
    document_mark: Mapped[bytes | None] = mapped_column(
        LargeBinary, comment="Keyed hash: the same person in two boards"
    )
    email: Mapped[str | None] = mapped_column(Personal)
    phone: Mapped[str | None] = mapped_column(Personal)


class Mandate(Base):
    """An office that a person holds in an organization from one day to another (dignatario, autoridad)."""

    __tablename__ = "mandate"
    __table_args__ = (
        Index("ix_mandate_organization_id", "organization_id"),
        Index("ix_mandate_person_id", "person_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    organ: Mapped[str] = mapped_column(comment="direction, administration, oversight, conciliation, representation")
    post: Mapped[str]
    signs: Mapped[bool] = mapped_column(comment="Signs for the organization")
    starts_on: Mapped[date]
    ends_on: Mapped[date] = mapped_column(comment="Last day")
    ended_on: Mapped[date | None] = mapped_column(comment="Last day, where it ended before its term")
    ended_why: Mapped[str | None] = mapped_column(comment="resignation, removal, death, replaced, error")
    act: Mapped[str | None] = mapped_column(comment="That recognized it (auto de reconocimiento, acta)")
    recorded_by: Mapped[str | None]
    recorded_at: Mapped[datetime]

    person: Mapped[Person] = relationship(lazy="selectin")


class Verification(Base):
    """Somebody looked whether the data are true. Rows are only ever added."""

    __tablename__ = "verification"
    __table_args__ = (Index("ix_verification_organization_id", "organization_id", "verified_on"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    fields: Mapped[list[Any]] = mapped_column(comment="identity, location, contact, authorities, documents")
    method: Mapped[str] = mapped_column(comment="document, phone, visit or register")
    verified_on: Mapped[date]
    result: Mapped[str] = mapped_column(comment="confirmed, corrected or not_confirmed")
    survey_id: Mapped[UUID | None] = mapped_column(ForeignKey("survey.id"))
    note: Mapped[str | None] = mapped_column(Personal)
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]


class Reminder(Base):
    """That an organization was told of a date that comes: once for each date and number of days."""

    __tablename__ = "reminder"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True, comment="mandate or filing")
    due_on: Mapped[date] = mapped_column(primary_key=True)
    days: Mapped[int] = mapped_column(primary_key=True, comment="Before that date")
    at: Mapped[datetime]


class Survey(Base):
    """A campaign to visit the organizations of an area anew (relevamiento)."""

    __tablename__ = "survey"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    name: Mapped[str]
    areas: Mapped[list[Any]] = mapped_column(comment="Codes of the jurisdiction pack; none: the whole town")
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    closed_at: Mapped[datetime | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]

    __mapper_args__ = {"version_id_col": version, "eager_defaults": False}  # noqa: RUF012


class PublicProfile(Base):
    """What an organization lets the public see beyond what a register shows of all, field by field, and since when.

    How exact its point is shown is in the organization's own row (`point_shown`), where lists are filtered by it.
    """

    __tablename__ = "public_profile"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    description: Mapped[str | None]
    consents: Mapped[dict[str, Any]] = mapped_column(default=dict, comment="Field: instant of the consent")
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]

    __mapper_args__ = {"version_id_col": version, "eager_defaults": False}  # noqa: RUF012


class Certificate(Base):
    """A statement (constancia) of what the register says of an organization, that anybody can verify by its code."""

    __tablename__ = "certificate"
    __table_args__ = (Index("ix_certificate_organization_id", "organization_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    number: Mapped[str] = mapped_column(unique=True)
    code: Mapped[str] = mapped_column(unique=True, comment="What the QR holds; cannot be guessed")
    said: Mapped[dict[str, Any]] = mapped_column(comment="What it states, nothing personal")
    issued_at: Mapped[datetime]
    issued_by: Mapped[str]
    good_until: Mapped[date]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
    revoked_why: Mapped[str | None] = mapped_column(Personal)


class Change(Base):
    """That something the public sees of an organization changed: the feed. `tx` keeps a reader from missing a late commit.

    Triggers on `organization` and `public_profile` write it, one row for each transaction and organization, so that no way of writing
    can forget it; of what is not listed, and was not before, there is none.
    """

    __tablename__ = "change"
    __table_args__ = (UniqueConstraint("tx", "organization_id"), Index("ix_change_tx", "tx", "id"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    at: Mapped[datetime]
    tx: Mapped[int] = mapped_column(BigInteger, server_default=text("pg_current_xact_id()::text::bigint"))


class ImportMappingSaved(Base):
    """How a source's columns became ours the last time."""

    __tablename__ = "import_mapping"

    source: Mapped[str] = mapped_column(primary_key=True)
    mapping: Mapped[dict[str, Any]]
    saved_by: Mapped[str | None]
    saved_at: Mapped[datetime]


class ImportJob(Base):
    """An import that runs in the background: where it is, and what it found. A killed one goes on from `next_row`."""

    __tablename__ = "import_job"
    __table_args__ = (Index("ix_import_job_created_at", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    source: Mapped[str]
    mapping: Mapped[dict[str, Any]]
    file_key: Mapped[UUID | None] = mapped_column(comment="Null once the file was done with and deleted")
    file_sha256: Mapped[str] = mapped_column(comment="Of the table: sent again while it runs, it is the same job")
    language: Mapped[str] = mapped_column(comment="In which its problems are told")
    status: Mapped[str] = mapped_column(comment="waiting, running, done, failed or cancelled")
    dry_run: Mapped[bool]
    all_or_nothing: Mapped[bool]
    rows: Mapped[int | None]
    next_row: Mapped[int] = mapped_column(default=0, comment="Rows before it are done")
    attempts: Mapped[int] = mapped_column(default=0, comment="How often it was begun without getting a batch further")
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None] = mapped_column(comment="Code of why the whole failed")
    error_params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __mapper_args__ = {"version_id_col": version, "eager_defaults": False}  # noqa: RUF012


class ImportProblem(Base):
    """What is wrong with a row of an import that runs in the background. Its reason may quote the cell."""

    __tablename__ = "import_problem"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("import_job.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int]
    field: Mapped[str]
    code: Mapped[str]
    reason: Mapped[str] = mapped_column(Personal)
    severity: Mapped[str]


class DuplicatePair(Base):
    """Two organizations that may be one. `first_id` is the smaller key. What a person decided is remembered."""

    __tablename__ = "duplicate_pair"
    __table_args__ = (
        UniqueConstraint("first_id", "second_id"),
        Index("ix_duplicate_pair_second_id", "second_id"),
        Index("ix_duplicate_pair_status_score", "status", "score", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    first_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    second_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    score: Mapped[float] = mapped_column(comment="0 to 1: how likely they are one")
    signals: Mapped[dict[str, Any]] = mapped_column(comment="What speaks for and against, with its weight")
    status: Mapped[str] = mapped_column(default="pending", comment="pending, different or merged")
    found_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Personal)


class MatchKey(Base):
    """What organizations that may be one have in common: beginnings of sounds of their names, places, fingerprints of telephones."""

    __tablename__ = "match_key"
    __table_args__ = (Index("ix_match_key_organization_id", "organization_id"),)

    key: Mapped[str] = mapped_column(primary_key=True, comment="n:, g:, i: are plain; p: and e: are keyed hashes")
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"), primary_key=True)


class MatchCheck(Base):
    """As which version an organization was last compared with the others."""

    __tablename__ = "match_check"

    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    version: Mapped[int]


class Merge(Base):
    """That one organization was found to be another: proposed by one officer, done by a second, undone within a window."""

    __tablename__ = "merge"
    __table_args__ = (
        Index("ix_merge_survivor_id", "survivor_id"),
        Index("uq_merge_open", "absorbed_id", unique=True, postgresql_where=text("status in ('proposed', 'done')")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    survivor_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    absorbed_id: Mapped[UUID] = mapped_column(ForeignKey("organization.id"))
    status: Mapped[str] = mapped_column(comment="proposed, done, undone or refused")
    choices: Mapped[dict[str, Any]] = mapped_column(comment="Field: survivor or absorbed")
    moved: Mapped[dict[str, Any]] = mapped_column(default=dict, comment="Table: how many of its rows moved")
    before: Mapped[str | None] = mapped_column(Personal, comment="JSON: what both were, to undo it")
    kept: Mapped[list[Any]] = mapped_column(default=list, comment="What could not be undone: table or field, and why")
    reason: Mapped[str | None] = mapped_column(Personal)
    proposed_by: Mapped[str]
    proposed_at: Mapped[datetime]
    done_by: Mapped[str | None]
    done_at: Mapped[datetime | None]
    undo_until: Mapped[date | None]
    undone_by: Mapped[str | None]
    undone_at: Mapped[datetime | None]

    __mapper_args__ = {"version_id_col": version, "eager_defaults": False}  # noqa: RUF012


class Territory(Base):
    """The shape of an area or a barrio, that an administrator loaded: what a point lies in is found with it."""

    __tablename__ = "territory"
    __table_args__ = (UniqueConstraint("kind", "code"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(comment="area or neighborhood")
    code: Mapped[str] = mapped_column(comment="Of an area, that of the jurisdiction pack")
    name: Mapped[str]
    area: Mapped[str | None] = mapped_column(comment="The area a neighborhood is in")
    shape: Mapped[dict[str, Any]] = mapped_column(comment="GeoJSON geometry, WGS 84: polygons, or a point for a barrio")


class NumberCounter(Base):
    """The last number given in a year and series. Its row lock makes numbers consecutive; a rollback gives the number back."""

    __tablename__ = "number_counter"

    series: Mapped[str] = mapped_column(
        primary_key=True, server_default="organization", comment="organization, application or certificate"
    )
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]
