"""Requests, their history and numbers, and the seam."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tejido_shared.migrations import create_seam_tables

revision = "20261120_requests"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_seam_tables()
    op.create_table(
        "known_project",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_project")),
    )
    op.create_table(
        "receipt_counter",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_receipt_counter")),
    )
    op.create_table(
        "service_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("request_type", sa.Text(), nullable=False),
        sa.Column("type_name", sa.Text(), nullable=False, comment="The law's name of the type, as it was when filed"),
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("verbal", sa.Boolean(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False, comment="Objeto: citizens write persons' names into it"),
        sa.Column("reasons", sa.LargeBinary(), nullable=True),
        sa.Column(
            "attachments",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="What documents came with it, as declared",
        ),
        sa.Column("petitioner_name", sa.LargeBinary(), nullable=True),
        sa.Column("petitioner_identification", sa.LargeBinary(), nullable=True),
        sa.Column("petitioner_email", sa.LargeBinary(), nullable=True),
        sa.Column("petitioner_phone", sa.LargeBinary(), nullable=True),
        sa.Column("petitioner_address", sa.LargeBinary(), nullable=True),
        sa.Column("representative_name", sa.LargeBinary(), nullable=True),
        sa.Column(
            "filed_by", sa.Text(), nullable=True, comment="Subject of the petitioner's account, if there was one"
        ),
        sa.Column("received_by", sa.Text(), nullable=True, comment="Subject of the official who received it"),
        sa.Column("tracking_code", sa.LargeBinary(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False, comment="received, answered, notified"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("term_unit", sa.Text(), nullable=True, comment="Null when the asking authority set the due date"),
        sa.Column("term_n", sa.Integer(), nullable=True),
        sa.Column("term_article", sa.Text(), nullable=True),
        sa.Column("terms_version", sa.Text(), nullable=False),
        sa.Column("calendar_version", sa.Text(), nullable=False),
        sa.Column(
            "policy",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="The counting policy it was computed with",
        ),
        sa.Column("effective_receipt_date", sa.Date(), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=False),
        sa.Column("due_soon_from", sa.Date(), nullable=True),
        sa.Column("overdue_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "alarm_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The next instant the sweep must look at it; null when none",
        ),
        sa.Column("overdue_announced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer_id", sa.Uuid(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True, comment="The clock stops here"),
        sa.Column("notification_evidence", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_request")),
        sa.UniqueConstraint("number", name=op.f("uq_service_request_number")),
    )
    op.create_index(
        "ix_service_request_alarm_at",
        "service_request",
        ["alarm_at"],
        unique=False,
        postgresql_where=sa.text("alarm_at is not null"),
    )
    op.create_index("ix_service_request_due_date", "service_request", ["due_date", "id"], unique=False)
    op.create_index("ix_service_request_office_due_date", "service_request", ["office", "due_date", "id"], unique=False)
    op.create_index("ix_service_request_received_at", "service_request", ["received_at", "id"], unique=False)
    op.create_table(
        "history_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "author",
            sa.Text(),
            nullable=True,
            comment="Subject of an account; null for the citizen without one and the system",
        ),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["service_request.id"], name=op.f("fk_history_entry_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history_entry")),
    )
    op.create_index("ix_history_entry_request_id", "history_entry", ["request_id", "at"], unique=False)
