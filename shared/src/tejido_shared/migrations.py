"""What every service's `migrations/env.py` calls."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

from tejido_shared import seam
from tejido_shared.db import Database
from tejido_shared.personal import Personal

_ONE_AT_A_TIME = 0x7E11D0


def _render(kind: str, item: Any, autogen_context: Any) -> str | Literal[False]:  # noqa: ARG001
    return "sa.LargeBinary()" if kind == "type" and isinstance(item, Personal) else False


def run(metadata: sa.MetaData) -> None:
    """Runs the migrations of one service in one transaction, one process at a time; never waits long for a table in use."""
    database: Database = context.config.attributes["database"]
    with database.engine.connect() as connection, connection.begin():
        connection.execute(sa.text("set local lock_timeout = '10s'; set local statement_timeout = 0"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
        context.configure(
            connection=connection, target_metadata=[metadata, seam.metadata], compare_type=True, render_item=_render
        )
        with context.begin_transaction():
            context.run_migrations()
    database.close()


def create_seam_tables() -> None:
    """What every service's first migration begins with: the tables of the seam, and `fold` for searching.

    It stays as it is for ever; a later change to these tables is a migration of each service.
    """
    # Searching without accents needs no extension, and PostgreSQL's Spanish stemmer keeps the tilde of ñ.
    op.execute(
        "create function fold(t text) returns text language sql immutable parallel safe strict as "
        r"$$ select lower(regexp_replace(normalize(t, NFD), '[\u0300-\u036f]', '', 'g')) $$"
    )
    op.create_table(
        "dead_letter",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("publisher", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("envelope", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("first_failed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_failed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "dead_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When we gave up; null while it is still being tried",
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_dead_letter")),
    )
    op.create_table(
        "idempotency",
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("client", "key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_inbox")),
    )
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"], unique=False, postgresql_using="brin")
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column(
            "subscriber", sa.Text(), nullable=False, comment="One row per event and subscriber, deleted when confirmed"
        ),
        sa.Column("envelope", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sent", sa.Integer(), server_default="0", nullable=False, comment="How often it was handed to Redis"),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When to send it, or send it again",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_event_id", "outbox", ["event_id"], unique=False)
    op.create_index("ix_outbox_subscriber_due_at", "outbox", ["subscriber", "due_at", "id"], unique=False)
