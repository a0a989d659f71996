"""Deliveries and the attempts at them, and the seam."""

import sqlalchemy as sa
from alembic import op

from tejido_shared.migrations import create_seam_tables

revision = "20261120_notifications"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_seam_tables()
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("cause_id", sa.Uuid(), nullable=False, comment="Id of the event it tells of"),
        sa.Column("cause_type", sa.Text(), nullable=False),
        sa.Column("about", sa.Uuid(), nullable=False, comment="The entity that event was about"),
        sa.Column("audience", sa.Text(), nullable=False, comment="Whom it is for: citizen, office_head"),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("recipient", sa.LargeBinary(), nullable=False),
        sa.Column("context", sa.LargeBinary(), nullable=False, comment="JSON of the event, unsealed"),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False, comment="pending, sending, delivered, failed"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "attempts",
            sa.Integer(),
            nullable=False,
            comment="Since it was made, or since it was last told to try again",
        ),
        sa.Column(
            "next_attempt_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When to try; while sending, when its lease ends; null when nothing is left to do",
        ),
        sa.Column("sender", sa.Integer(), nullable=True, comment="Number of the sender that holds it while sending"),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True, comment="The accepting server's words, without addresses"),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("cause_id", "audience", "channel", name=op.f("uq_delivery_cause_id_audience_channel")),
    )
    op.create_index("ix_delivery_about", "delivery", ["about", "created_at", "id"], unique=False)
    op.create_index("ix_delivery_created_at", "delivery", ["created_at", "id"], unique=False)
    op.create_index("ix_delivery_status_created_at", "delivery", ["status", "created_at", "id"], unique=False)
    op.create_index(
        "ix_delivery_status_next_attempt_at",
        "delivery",
        ["status", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("next_attempt_at is not null"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=False,
            comment="accepted, deferred, refused, unsendable; unknown while it lasts, and when the sender or the line broke",
        ),
        sa.Column(
            "reply", sa.Text(), nullable=True, comment="The server's words, or what went wrong, without addresses"
        ),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("fk_attempt_delivery_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    op.create_index("ix_attempt_delivery_id", "attempt", ["delivery_id", "at"], unique=False)
