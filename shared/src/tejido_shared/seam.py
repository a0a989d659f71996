"""The tables of the seam between services. Every service's database has them.

An event is published if and only if its transaction committed, for `outbox.emit` writes the row in that transaction. It is
delivered at least once: the publisher sends what a subscriber has not confirmed, again and again. It takes effect once, for
the subscriber writes the inbox row and the effect in one transaction. Redis only carries; it may forget everything.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from tejido_shared.db import new_metadata
from tejido_shared.personal import Personal

metadata = new_metadata()
_now = sa.func.now()


def _instant(name: str, **options: Any) -> "sa.Column[Any]":
    return sa.Column(name, sa.DateTime(timezone=True), **options)


outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("event_id", sa.Uuid, nullable=False),
    sa.Column(
        "subscriber", sa.Text, nullable=False, comment="One row per event and subscriber, deleted when confirmed"
    ),
    sa.Column("envelope", JSONB, nullable=False),
    sa.Column("sent", sa.Integer, nullable=False, server_default="0", comment="How often it was handed to Redis"),
    _instant("due_at", nullable=False, server_default=_now, comment="When to send it, or send it again"),
    _instant("created_at", nullable=False, server_default=_now),
    sa.Index("ix_outbox_event_id", "event_id"),
    sa.Index("ix_outbox_subscriber_due_at", "subscriber", "due_at", "id"),
)

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    _instant("received_at", nullable=False, server_default=_now),
    sa.Index("ix_inbox_received_at", "received_at", postgresql_using="brin"),
)

dead_letter = sa.Table(
    "dead_letter",
    metadata,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("publisher", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("envelope", JSONB, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    _instant("first_failed_at", nullable=False, server_default=_now),
    _instant("last_failed_at", nullable=False, server_default=_now),
    _instant("dead_at", comment="When we gave up; null while it is still being tried"),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("client", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request_hash", sa.Text, nullable=False),
    sa.Column("response", Personal),
    _instant("created_at", nullable=False, server_default=_now),
    sa.Index("ix_idempotency_created_at", "created_at"),
)
