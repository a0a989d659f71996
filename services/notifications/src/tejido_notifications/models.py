"""Every table this service owns, besides those of the seam."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tejido_shared import db
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.personal import Personal


class Base(DeclarativeBase):
    metadata = db.new_metadata()
    type_annotation_map = db.TYPES


class Delivery(Base):
    """One message of one event to one recipient by one channel: the unique constraint is what makes it be sent once.

    Personal columns are read only when the message is made, so that one that cannot be decrypted harms no other.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("cause_id", "audience", "channel"),
        Index(
            "ix_delivery_status_next_attempt_at",
            "status",
            "next_attempt_at",
            postgresql_where=text("next_attempt_at is not null"),
        ),
        Index("ix_delivery_created_at", "created_at", "id"),
        Index("ix_delivery_status_created_at", "status", "created_at", "id"),
        Index("ix_delivery_about", "about", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    cause_id: Mapped[UUID] = mapped_column(comment="Id of the event it tells of")
    cause_type: Mapped[str]
    about: Mapped[UUID] = mapped_column(comment="The entity that event was about")
    audience: Mapped[str] = mapped_column(comment="Whom it is for: citizen, assignee, office, office_head, authority")
    channel: Mapped[str] = mapped_column(default="email")
    template: Mapped[str]
    language: Mapped[str]
    recipient: Mapped[str] = mapped_column(Personal, deferred=True)
    context: Mapped[str] = mapped_column(Personal, deferred=True, comment="JSON of the event, unsealed")
    correlation_id: Mapped[str]
    traceparent: Mapped[str | None]
    status: Mapped[str] = mapped_column(default="pending", comment="pending, sending, delivered, failed")
    created_at: Mapped[datetime] = mapped_column(default=now)
    attempts: Mapped[int] = mapped_column(
        default=0, comment="Since it was made, or since it was last told to try again"
    )
    next_attempt_at: Mapped[datetime | None] = mapped_column(
        default=now, comment="When to try; while sending, when its lease ends; null when nothing is left to do"
    )
    sender: Mapped[int | None] = mapped_column(comment="Number of the sender that holds it while sending")
    last_error: Mapped[str | None]
    evidence: Mapped[str | None] = mapped_column(comment="The accepting server's words, without addresses")
    delivered_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None] = mapped_column(
        comment="When recipient, content and the server's words were erased with the data of what it is about"
    )

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Attempt(Base):
    """One try at a delivery; rows are only ever added and completed. Holds no personal data."""

    __tablename__ = "attempt"
    __table_args__ = (Index("ix_attempt_delivery_id", "delivery_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("delivery.id"))
    at: Mapped[datetime]
    outcome: Mapped[str] = mapped_column(
        default="unknown",
        comment="accepted, deferred, refused, unsendable; unknown while it lasts, and when the sender or the line broke",
    )
    reply: Mapped[str | None] = mapped_column(comment="The server's words, or what went wrong, without addresses")
