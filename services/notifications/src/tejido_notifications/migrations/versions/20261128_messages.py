"""Several recipients, channels and categories; contacts, templates, subscriptions, campaigns, proofs.

Processes of the version before, while they still run, cannot queue messages any more: their events are sent again to the new ones.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261128_messages"
down_revision = "20261121_audiences"
branch_labels = None
depends_on = None

_SEALED = """
create function sealed() returns trigger language plpgsql as $$
begin
    -- Retention may empty the record; what it was known by stays.
    if tg_op = 'UPDATE' and new.record is null and to_jsonb(new) - 'record' = to_jsonb(old) - 'record' then
        return new;
    end if;
    raise exception '% is append-only', tg_table_name;
end $$
"""


def upgrade() -> None:
    op.create_table(
        "campaign",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("segment", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "date",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Of a meeting: starts_at, ends_at, place, summary",
        ),
        sa.Column(
            "office_hours", sa.Boolean(), nullable=False, comment="Whether it is only sent while the offices are open"
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="draft, running, paused, cancelled, done"),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True, comment="When the last message was queued"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False, comment="Organizations of the segment when it began"),
        sa.Column("cursor", sa.Uuid(), nullable=True, comment="The last organization whose message was queued"),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column(
            "left_out",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Why to how many: no_address, opted_out, bounced",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
    )
    op.create_index(
        "ix_campaign_running", "campaign", ["status"], unique=False, postgresql_where=sa.text("status = 'running'")
    )
    op.create_table(
        "contact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="person, organization"),
        sa.Column(
            "ref",
            sa.Text(),
            nullable=False,
            comment="Subject of the person's account, or id of the organization; a random one for a person without account",
        ),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column(
            "quiet_from", sa.Time(), nullable=True, comment="Local; what is no legal notice waits until quiet_until"
        ),
        sa.Column("quiet_until", sa.Time(), nullable=True),
        sa.Column("digest", sa.Boolean(), nullable=False, comment="Reminders come once a day, together"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
        sa.UniqueConstraint("kind", "ref", name=op.f("uq_contact_kind_ref")),
    )
    op.create_table(
        "in_app_message",
        sa.Column("id", sa.Uuid(), nullable=False, comment="The delivery's"),
        sa.Column(
            "sequence", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="Order in which they came"
        ),
        sa.Column("box", sa.Text(), nullable=False, comment="account:<subject>, office:<code>, head:<code>"),
        sa.Column("about", sa.Uuid(), nullable=False),
        sa.Column("title", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_in_app_message")),
    )
    op.create_index("ix_in_app_message_box", "in_app_message", ["box", "sequence"], unique=False)
    op.create_table(
        "known_event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_event")),
    )
    op.create_index("ix_known_event_occurred_at", "known_event", ["occurred_at", "id"], unique=False)
    op.create_table(
        "known_organization",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("territory", sa.Text(), nullable=True),
        sa.Column("themes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_organization")),
    )
    op.create_table(
        "pace",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_pace")),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.LargeBinary(), nullable=False, comment="Addresses of others may hold secrets"),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False, comment="Types, or beginnings that end in *"),
        sa.Column(
            "filters",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Field of the event to the values wanted",
        ),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("old_secret", sa.LargeBinary(), nullable=True, comment="Signs too until old_secret_until"),
        sa.Column("old_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "rests_until", sa.DateTime(timezone=True), nullable=True, comment="While it fails, nothing is tried before"
        ),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription")),
    )
    op.create_table(
        "template_version",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="requests_submitted …"),
        sa.Column("form", sa.Text(), nullable=False, comment="mail: whole letters; short: SMS and the like"),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "source", sa.Text(), nullable=True, comment="None: from here on the pack's text or ours counts again"
        ),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_version")),
        sa.UniqueConstraint(
            "name", "form", "language", "number", name=op.f("uq_template_version_name_form_language_number")
        ),
    )
    op.create_table(
        "address",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column(
            "fingerprint",
            sa.LargeBinary(),
            nullable=False,
            comment="Keyed hash of channel and value: personal.fingerprint",
        ),
        sa.Column("rank", sa.Integer(), nullable=False, comment="Lower is tried first"),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "verified_by",
            sa.Text(),
            nullable=True,
            comment="The official who vouched for it; none if a code proved it",
        ),
        sa.Column("evidence", sa.LargeBinary(), nullable=True, comment="What that official saw"),
        sa.Column("code", sa.LargeBinary(), nullable=True, comment="What was sent to verify it"),
        sa.Column("code_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("code_tries", sa.Integer(), nullable=False),
        sa.Column(
            "bounced_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Nothing but legal notices is sent until it is verified anew",
        ),
        sa.Column("bounce_reason", sa.Text(), nullable=True),
        sa.Column("unsubscribe_token", sa.Text(), nullable=False, comment="Opaque; stands in links and headers"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name=op.f("fk_address_contact_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address")),
        sa.UniqueConstraint(
            "fingerprint",
            "contact_id",
            name=op.f("uq_address_fingerprint_contact_id"),
            postgresql_nulls_not_distinct=True,
        ),
        sa.UniqueConstraint("unsubscribe_token", name=op.f("uq_address_unsubscribe_token")),
    )
    op.create_index("ix_address_contact_id", "address", ["contact_id", "rank"], unique=False)
    op.create_table(
        "proof",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False, comment="delivered, failed, bounced"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "record",
            sa.LargeBinary(),
            nullable=True,
            comment="JSON as it was signed: to whom, what, when, the answers; none once retention erased it",
        ),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Of the record as signed"),
        sa.Column("signature", sa.Text(), nullable=False, comment="Ed25519, base64"),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("fk_proof_delivery_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proof")),
    )
    op.create_index("ix_proof_delivery_id", "proof", ["delivery_id", "at"], unique=False)
    op.execute(_SEALED)
    op.execute("create trigger sealed before update or delete on proof for each row execute function sealed()")
    op.execute("create trigger sealed_whole before truncate on proof for each statement execute function sealed()")
    op.create_table(
        "opt_out",
        sa.Column("address_id", sa.Uuid(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False, comment="service, campaign"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("how", sa.Text(), nullable=False, comment="one_click, account, officer, complaint"),
        sa.ForeignKeyConstraint(["address_id"], ["address.id"], name=op.f("fk_opt_out_address_id")),
        sa.PrimaryKeyConstraint("address_id", "category", name=op.f("pk_opt_out")),
    )
    op.add_column(
        "attempt",
        sa.Column("code", sa.Text(), nullable=True, comment="Kind of failure: unreachable, greylisted, 5.1.1 …"),
    )
    op.create_index("ix_attempt_at", "attempt", ["at"], unique=False)
    op.add_column(
        "delivery",
        sa.Column(
            "recipient_key",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="Which of several of one audience: a contact, a subscription; empty for the only one",
        ),
    )
    op.add_column(
        "delivery",
        sa.Column(
            "contact_id", sa.Uuid(), nullable=True, comment="The contact the address belongs to, if one is known"
        ),
    )
    op.add_column(
        "delivery",
        sa.Column(
            "category",
            sa.Text(),
            nullable=False,
            server_default="service",
            comment="legal, service, campaign; sent in this order",
        ),
    )
    op.add_column(
        "delivery",
        sa.Column(
            "fallback_of",
            sa.Uuid(),
            nullable=True,
            comment="The message that could not be delivered by another channel",
        ),
    )
    op.add_column("delivery", sa.Column("digest_id", sa.Uuid(), nullable=True, comment="The digest that took it in"))
    op.add_column(
        "delivery",
        sa.Column(
            "template_version", sa.Text(), nullable=True, comment="Which text was sent last: see letters.writing"
        ),
    )
    op.add_column(
        "delivery",
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True, comment="Keyed hash of channel and address"),
    )
    op.add_column(
        "delivery",
        sa.Column(
            "occurred_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
            comment="When what it tells of happened",
        ),
    )
    op.add_column(
        "delivery",
        sa.Column(
            "send_from",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was to be sent, if not at once: office hours, quiet hours, a digest",
        ),
    )
    op.add_column("delivery", sa.Column("sending_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "delivery",
        sa.Column(
            "bounced_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it came back after it had been accepted",
        ),
    )
    op.alter_column(
        "delivery",
        "cause_id",
        existing_type=sa.UUID(),
        comment="Id of the event, or of the campaign, it tells of",
        existing_comment="Id of the event it tells of",
        existing_nullable=False,
    )
    op.alter_column(
        "delivery",
        "audience",
        existing_type=sa.TEXT(),
        comment="Whom it is for: citizen, assignee, office, office_head, authority, organization, subscriber",
        existing_comment="Whom it is for: citizen, assignee, office, office_head, authority",
        existing_nullable=False,
    )
    op.alter_column(
        "delivery",
        "status",
        existing_type=sa.TEXT(),
        comment="pending, sending, delivered, failed, bounced; held and merged, of a digest; cancelled, of a campaign",
        existing_comment="pending, sending, delivered, failed",
        existing_nullable=False,
    )
    op.drop_index(
        op.f("ix_delivery_status_next_attempt_at"),
        table_name="delivery",
        postgresql_where="(next_attempt_at IS NOT NULL)",
    )
    op.drop_constraint(op.f("uq_delivery_cause_id_audience_channel"), "delivery", type_="unique")
    op.create_index(
        "ix_delivery_delivered_at",
        "delivery",
        ["delivered_at"],
        unique=False,
        postgresql_include=["channel", "category", "occurred_at", "send_from"],
        postgresql_where=sa.text("delivered_at is not null"),
    )
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["channel", "category", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_delivery_fingerprint",
        "delivery",
        ["fingerprint"],
        unique=False,
        postgresql_where=sa.text("fingerprint is not null"),
    )
    op.create_index(
        "ix_delivery_held", "delivery", ["next_attempt_at"], unique=False, postgresql_where=sa.text("status = 'held'")
    )
    op.create_index(
        "ix_delivery_sending",
        "delivery",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("status = 'sending'"),
    )
    op.create_index(
        "ix_delivery_waiting_for",
        "delivery",
        ["recipient_key", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("channel = 'webhook'"),
    )
    op.create_unique_constraint(
        op.f("uq_delivery_cause_id_audience_recipient_key_channel"),
        "delivery",
        ["cause_id", "audience", "recipient_key", "channel"],
    )
    op.execute(
        "update delivery set occurred_at = created_at, category = case audience when 'citizen' then 'legal' else 'service' end"
    )
