"""Every table this service owns, besides those of the seam."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Computed, ForeignKey, Index, Numeric, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from tejido_shared import db
from tejido_shared.ids import new_id


class Base(DeclarativeBase):
    metadata = db.new_metadata()
    type_annotation_map = db.TYPES


class KnownOrganization(Base):
    """What this service knows of an organization, from events of the registry."""

    __tablename__ = "known_organization"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    number: Mapped[str]
    name: Mapped[str]
    organization_type: Mapped[str]
    status: Mapped[str]
    standing: Mapped[dict[str, Any] | None] = mapped_column(
        comment="Purpose: codes of why not, when the event was written; null: the event said nothing of it"
    )
    mandate_until: Mapped[date | None] = mapped_column(comment="Last day of whoever signs for it")
    merged_into: Mapped[UUID | None] = mapped_column(comment="The organization it lives on in")

    __table_args__ = (
        Index("ix_known_organization_merged_into", "merged_into", postgresql_where=text("merged_into is not null")),
    )


class Project(Base):
    """A community project: what an organization wants to do about a need of its place."""

    __tablename__ = "project"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    number: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    need: Mapped[str] = mapped_column(comment="What problem it answers")
    summary: Mapped[str | None]
    place: Mapped[str] = mapped_column(comment="Where, in words")
    locality: Mapped[str | None] = mapped_column(comment="Localidad, comuna or district")
    longitude: Mapped[float | None] = mapped_column(comment="Degrees, WGS 84")
    latitude: Mapped[float | None]
    estimated_cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    currency: Mapped[str] = mapped_column(comment="ISO 4217")
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("known_organization.id"))
    organization: Mapped[KnownOrganization] = relationship(lazy="joined", innerjoin=True)
    presented_by: Mapped[str] = mapped_column(comment="Subject of the account that presented it")
    presented_at: Mapped[datetime]
    stage: Mapped[str]
    stage_since: Mapped[datetime]
    next_step: Mapped[str | None] = mapped_column(comment="Null: what the catalogue says of the stage")
    next_step_on: Mapped[date | None] = mapped_column(comment="Null in a final stage")
    words: Mapped[str] = mapped_column(
        TSVECTOR,
        Computed(
            "to_tsvector('simple', regexp_replace(fold("
            "number || ' ' || title || ' ' || need || ' ' || coalesce(summary, '') || ' ' || place"
            "), '[^a-z0-9]+', ' ', 'g'))",
            persisted=True,
        ),
        deferred=True,
        comment="To be searched without accents",
    )

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012
    __table_args__ = (
        Index("ix_project_presented_at", "presented_at", "id"),
        Index("ix_project_stage_presented_at", "stage", "presented_at", "id"),
        Index("ix_project_organization_id_presented_at", "organization_id", "presented_at", "id"),
        Index("ix_project_title", text("fold(title)"), "id"),
        Index("ix_project_words", "words", postgresql_using="gin"),
    )


class StageEntry(Base):
    """A project entered a stage; rows are only ever added. Without `from_stage`, it was presented."""

    __tablename__ = "stage_entry"
    __table_args__ = (Index("ix_stage_entry_project_id", "project_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    from_stage: Mapped[str | None]
    to_stage: Mapped[str]
    at: Mapped[datetime]
    author: Mapped[str] = mapped_column(comment="Subject of an account")
    reason: Mapped[str | None]


class NumberCounter(Base):
    """The last number given in a year. Its row lock makes numbers consecutive; a rollback gives the number back."""

    __tablename__ = "number_counter"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]
