"""Every table this service owns, besides those of the seam."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Computed, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from tejido_shared import db
from tejido_shared.ids import new_id
from tejido_shared.personal import Personal

# Punctuation goes first, or PostgreSQL takes "Bib.Pop." for the name of a host and finds neither word. Plain words are for
# prefixes, stems for singular and plural.
_NAMES = "regexp_replace(fold(name || ' ' || coalesce(public_name, '') || ' ' || other_names::text), '[^[:alnum:]]+', ' ', 'g')"
SEARCHABLE = f"to_tsvector('simple'::regconfig, {_NAMES}) || to_tsvector('spanish'::regconfig, {_NAMES})"


class Base(DeclarativeBase):
    metadata = db.new_metadata()
    type_annotation_map = db.TYPES


class Organization(Base):
    """An organization of the register. `registration_status` is one of four axes; the others never share its column."""

    __tablename__ = "organization"
    __table_args__ = (
        Index("ix_organization_searchable", "searchable", postgresql_using="gin"),
        Index("ix_organization_sort_name", "sort_name", "id"),
        Index("ix_organization_registered_at", "registered_at", "id"),
        Index("ix_organization_latitude_longitude", "latitude", "longitude"),
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
    registration_status: Mapped[str]
    registered_at: Mapped[datetime] = mapped_column(comment="Entry in the register; of a draft, its beginning")
    changed_at: Mapped[datetime] = mapped_column(comment="The row's last change; says nothing about its truth")
    sort_name: Mapped[str] = mapped_column(Computed("left(fold(name), 100)", persisted=True))
    searchable: Mapped[Any] = mapped_column(TSVECTOR, Computed(SEARCHABLE, persisted=True), deferred=True)

    identifiers: Mapped[list["Identifier"]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by=lambda: (Identifier.scheme, Identifier.value)
    )
    contacts: Mapped[list["Contact"]] = relationship(
        cascade="all, delete-orphan", lazy="select", order_by=lambda: Contact.position
    )

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


class NumberCounter(Base):
    """The last number given in a year. Its row lock makes numbers consecutive; a rollback gives the number back."""

    __tablename__ = "number_counter"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]
