"""Every table this service owns, besides those of the seam."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tejido_shared import db
from tejido_shared.ids import new_id
from tejido_shared.personal import Personal


class Base(DeclarativeBase):
    metadata = db.new_metadata()
    type_annotation_map = db.TYPES


class ServiceRequest(Base):
    """A citizen's request and its legal clock. What the clock was computed with is kept beside what came out."""

    __tablename__ = "service_request"
    __table_args__ = (
        Index("ix_service_request_alarm_at", "alarm_at", postgresql_where=text("alarm_at is not null")),
        Index("ix_service_request_office_due_date", "office", "due_date", "id"),
        Index("ix_service_request_due_date", "due_date", "id"),
        Index("ix_service_request_received_at", "received_at", "id"),
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
    filed_by: Mapped[str | None] = mapped_column(comment="Subject of the petitioner's account, if there was one")
    received_by: Mapped[str | None] = mapped_column(comment="Subject of the official who received it")
    tracking_code: Mapped[str] = mapped_column(Personal)
    organization_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(default="received", comment="received, answered, notified")

    received_at: Mapped[datetime]
    term_unit: Mapped[str | None] = mapped_column(comment="Null when the asking authority set the due date")
    term_n: Mapped[int | None]
    term_article: Mapped[str | None]
    terms_version: Mapped[str]
    calendar_version: Mapped[str]
    policy: Mapped[dict[str, Any]] = mapped_column(comment="The counting policy it was computed with")
    effective_receipt_date: Mapped[date]
    due_date: Mapped[date]
    due_soon_from: Mapped[date | None]
    overdue_at: Mapped[datetime]
    alarm_at: Mapped[datetime | None] = mapped_column(
        comment="The next instant the sweep must look at it; null when none"
    )
    overdue_announced_at: Mapped[datetime | None]

    answer_id: Mapped[UUID | None]
    answer: Mapped[str | None] = mapped_column(Personal)
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]
    notified_at: Mapped[datetime | None] = mapped_column(comment="The clock stops here")
    notification_evidence: Mapped[str | None] = mapped_column(Personal)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class HistoryEntry(Base):
    """What happened to a request, in order; rows are only ever added. Holds no personal data."""

    __tablename__ = "history_entry"
    __table_args__ = (Index("ix_history_entry_request_id", "request_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("service_request.id"))
    at: Mapped[datetime]
    kind: Mapped[str]
    author: Mapped[str | None] = mapped_column(
        comment="Subject of an account; null for the citizen without one and the system"
    )
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ReceiptCounter(Base):
    """The last number given in a year. Its row lock makes numbers consecutive; a rollback gives the number back."""

    __tablename__ = "receipt_counter"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]


class KnownProject(Base):
    """What this service knows of a project, from events of the projects service."""

    __tablename__ = "known_project"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    number: Mapped[str]
    title: Mapped[str]
    stage: Mapped[str]
