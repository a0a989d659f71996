"""The petition desk: clocks, calendars as records, acts, answers in the making, audit, retention."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tejido_requests.audit.service import digest
from tejido_requests.settings import jurisdiction
from tejido_shared.personal import seal

revision = "20261121_desk"
down_revision = "20261120_requests"
branch_labels = None
depends_on = None

_APPEND_ONLY = """
create function append_only() returns trigger language plpgsql as $$
begin
    -- Retention may empty what is encrypted; the digest that the audit chain covers stays.
    if tg_op = 'UPDATE' and tg_table_name in ('history_entry', 'access_record')
        and to_jsonb(new) ->> 'reason' is null and to_jsonb(new) ->> 'evidence' is null
        and to_jsonb(new) - 'reason' - 'evidence' = to_jsonb(old) - 'reason' - 'evidence' then
        return new;
    end if;
    raise exception '% is append-only', tg_table_name;
end $$
"""


def upgrade() -> None:
    op.execute(_APPEND_ONLY)
    op.create_table(
        "access_record",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False, comment="identity, history, attachment, export, receipt"),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True, comment="SHA-256 of the reason as encrypted"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_record")),
    )
    op.create_index("ix_access_record_recorded_at", "access_record", ["recorded_at", "id"], unique=False)
    op.create_index("ix_access_record_request_id", "access_record", ["request_id", "at"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed_until",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Nothing recorded before this instant waits for its link",
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "audit_link",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_link")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_audit_link_entry_id")),
    )
    op.create_table(
        "calendar_change",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column(
            "declared", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Closures, as in the pack"
        ),
        sa.Column("withdrawn", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Keys of closures"),
        sa.Column("based_on", sa.Integer(), nullable=False, comment="Calendar version the preview was computed on"),
        sa.Column("preview", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="draft, confirmed, done, incomplete, dropped"),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("calendar_version", sa.Integer(), nullable=True),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("cursor", sa.Uuid(), nullable=True, comment="The last request looked at"),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Integer(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_change")),
    )
    op.create_index(
        "ix_calendar_change_running",
        "calendar_change",
        ["status"],
        unique=False,
        postgresql_where=sa.text("status = 'confirmed'"),
    )
    op.create_table(
        "calendar_version",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_calendar_version")),
    )
    op.create_table(
        "closure_proposal",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False, comment="holidays 0.108, icalendar, pack"),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="pending, accepted, rejected"),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closure_proposal")),
        sa.UniqueConstraint("source", "starts_on", "name", name=op.f("uq_closure_proposal_source_starts_on_name")),
    )
    op.create_table(
        "confirmed_year",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True, comment="Null for those of the pack"),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_confirmed_year")),
    )
    op.create_table(
        "desk_officer",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("office", sa.Text(), nullable=False),
        sa.Column("email", sa.LargeBinary(), nullable=True, comment="Where reminders for them go"),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("away_until", sa.Date(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", "office", name=op.f("pk_desk_officer")),
    )
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("office", sa.Text(), nullable=True, comment="The office it is shared with"),
        sa.Column("query", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_saved_view_owner_name")),
    )
    op.create_table(
        "announcement",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("clock", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Text(), nullable=False),
        sa.Column("clock_version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "told",
            sa.Boolean(),
            nullable=False,
            comment="False when a later threshold of the same clock had passed already",
        ),
        sa.ForeignKeyConstraint(["request_id"], ["service_request.id"], name=op.f("fk_announcement_request_id")),
        sa.PrimaryKeyConstraint("request_id", "clock", "threshold", "clock_version", name=op.f("pk_announcement")),
    )
    op.create_table(
        "attachment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False, comment="petition, completion, evidence, answer, note"),
        sa.Column("public", sa.Boolean(), nullable=False, comment="The citizen sees it with number and code"),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("scanned_at", sa.DateTime(timezone=True), nullable=True, comment="When a scanner looked at it"),
        sa.Column("infected", sa.Boolean(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("uploaded_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["service_request.id"], name=op.f("fk_attachment_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment")),
        sa.UniqueConstraint("key", name=op.f("uq_attachment_key")),
        sa.UniqueConstraint("request_id", "sha256", "purpose", name=op.f("uq_attachment_request_id_sha256_purpose")),
    )
    op.create_index(
        "ix_attachment_to_scan",
        "attachment",
        ["id"],
        unique=False,
        postgresql_where=sa.text("scanned_at is null and not infected"),
    )
    op.create_table(
        "closure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("until", sa.Integer(), nullable=True),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False, comment="country, province, municipality"),
        sa.Column("suspends_terms", sa.Boolean(), nullable=False),
        sa.Column("open_for_filing", sa.Boolean(), nullable=False),
        sa.Column("except_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("declared_at", sa.Date(), nullable=True),
        sa.Column(
            "declared_by",
            sa.Text(),
            nullable=True,
            comment="Subject of the account that recorded it; null for the pack's",
        ),
        sa.ForeignKeyConstraint(["since"], ["calendar_version.number"], name=op.f("fk_closure_since")),
        sa.ForeignKeyConstraint(["until"], ["calendar_version.number"], name=op.f("fk_closure_until")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closure")),
    )
    op.create_table(
        "draft",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="answer, partial, refusal"),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="written, submitted, approved, returned, issued"),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("remark", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["service_request.id"], name=op.f("fk_draft_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft")),
    )
    op.create_index("ix_draft_request_id", "draft", ["request_id"], unique=False)
    op.create_table(
        "known_organization",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_organization")),
    )
    op.create_table(
        "note",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["service_request.id"], name=op.f("fk_note_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_note")),
    )
    op.create_index("ix_note_request_id", "note", ["request_id", "at"], unique=False)
    op.create_table(
        "rating",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("comment", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["service_request.id"], name=op.f("fk_rating_request_id")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_rating")),
    )
    op.create_table(
        "stopped_clock",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("clock", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_date", sa.Date(), nullable=True),
        sa.Column("overdue_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False, comment="on_time, late, void"),
        sa.Column("terms_version", sa.Text(), nullable=False),
        sa.Column("calendar_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["service_request.id"], name=op.f("fk_stopped_clock_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stopped_clock")),
        sa.UniqueConstraint(
            "request_id", "clock", "started_at", name=op.f("uq_stopped_clock_request_id_clock_started_at")
        ),
    )
    op.create_table(
        "tombstone",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("batch", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("request_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["service_request.id"], name=op.f("fk_tombstone_request_id")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_tombstone")),
    )
    op.add_column(
        "history_entry",
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.add_column(
        "history_entry",
        sa.Column(
            "calendar_version",
            sa.Integer(),
            nullable=True,
            comment="In force when an act that moves a clock was recorded",
        ),
    )
    op.add_column("history_entry", sa.Column("reason", sa.LargeBinary(), nullable=True))
    op.add_column("history_entry", sa.Column("evidence", sa.LargeBinary(), nullable=True))
    op.add_column(
        "history_entry",
        sa.Column("digest", sa.LargeBinary(), nullable=True, comment="SHA-256 of reason and evidence as encrypted"),
    )
    op.alter_column(
        "history_entry",
        "at",
        existing_type=postgresql.TIMESTAMP(timezone=True),
        comment="When it took effect",
        existing_nullable=False,
    )
    op.create_index("ix_history_entry_recorded_at", "history_entry", ["recorded_at", "id"], unique=False)
    op.add_column(
        "receipt_counter",
        sa.Column(
            "series", sa.Text(), nullable=False, server_default=sa.text("'received'"), comment="received, answered"
        ),
    )
    op.add_column("service_request", sa.Column("representative_identification", sa.LargeBinary(), nullable=True))
    op.add_column(
        "service_request",
        sa.Column("received_by_name", sa.LargeBinary(), nullable=True, comment="As the official's token had it"),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "closed_at", sa.DateTime(timezone=True), nullable=True, comment="When a status that ends it was reached"
        ),
    )
    op.add_column(
        "service_request", sa.Column("anonymous", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.add_column(
        "service_request",
        sa.Column(
            "confidential",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="The petitioner's identity is shown on demand only",
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "minor", sa.Boolean(), nullable=False, server_default=sa.text("false"), comment="The petitioner is a minor"
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "priority",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="Priority attention: Ley 1755/2015 art. 20",
        ),
    )
    op.add_column("service_request", sa.Column("priority_reason", sa.LargeBinary(), nullable=True))
    op.add_column(
        "service_request",
        sa.Column(
            "addressees",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            server_default=sa.text("'[]'::jsonb"),
            comment="Offices and authorities it names",
        ),
    )
    op.add_column("service_request", sa.Column("place_address", sa.LargeBinary(), nullable=True))
    op.add_column(
        "service_request", sa.Column("area", sa.Text(), nullable=True, comment="Code of the jurisdiction's area")
    )
    op.add_column("service_request", sa.Column("latitude", sa.Double(), nullable=True))
    op.add_column("service_request", sa.Column("longitude", sa.Double(), nullable=True))
    op.add_column(
        "service_request",
        sa.Column(
            "answers_given", sa.LargeBinary(), nullable=True, comment="JSON: what the type asks beyond the subject"
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "missing_at_receipt",
            sa.LargeBinary(),
            nullable=True,
            comment="What was missing when it was received because the petitioner insisted (CPACA art. 15)",
        ),
    )
    op.add_column(
        "service_request",
        sa.Column("assignee", sa.Text(), nullable=True, comment="Subject of the officer who works on it"),
    )
    op.add_column("service_request", sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "service_request", sa.Column("parent_id", sa.Uuid(), nullable=True, comment="The request it was split from")
    )
    op.add_column(
        "service_request", sa.Column("merged_into_id", sa.Uuid(), nullable=True, comment="The request that answers it")
    )
    op.add_column(
        "service_request",
        sa.Column(
            "reopens_id",
            sa.Uuid(),
            nullable=True,
            comment="The request whose answer it disputes; that one's outcome stays",
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "search_tokens",
            postgresql.ARRAY(sa.Text()),
            nullable=True,
            comment="Keyed hashes of the words, to find without keeping the words in the clear",
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "held_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Since when a legal hold keeps it from being erased",
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "tombstoned_at", sa.DateTime(timezone=True), nullable=True, comment="When its personal data was erased"
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "term_extension_max",
            sa.Integer(),
            nullable=True,
            comment="The most it may be extended by, in the term's unit",
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "term_copies_within", sa.Integer(), nullable=True, comment="Open days after silence to hand over copies"
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "term_kind",
            sa.Text(),
            nullable=True,
            comment="legal, or service_commitment, which no text may call the law",
        ),
    )
    op.add_column(
        "service_request",
        sa.Column(
            "clock_version",
            sa.Integer(),
            nullable=False,
            server_default=sa.text("1"),
            comment="Grows whenever the due date moves",
        ),
    )
    op.add_column(
        "service_request",
        sa.Column("first_due_date", sa.Date(), nullable=True, comment="As it was told on the receipt"),
    )
    op.add_column("service_request", sa.Column("days_left", sa.Integer(), nullable=True, comment="Of a paused clock"))
    op.add_column("service_request", sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "service_request",
        sa.Column("citizen_due_date", sa.Date(), nullable=True, comment="Until when the citizen may complete it"),
    )
    op.add_column(
        "service_request", sa.Column("extended_by", sa.Integer(), nullable=True, comment="In the term's unit")
    )
    op.add_column("service_request", sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "service_request",
        sa.Column("answer_number", sa.Text(), nullable=True, comment="The outgoing number, child of `number`"),
    )
    op.add_column("service_request", sa.Column("answer_kind", sa.Text(), nullable=True, comment="answer or refusal"))
    op.add_column(
        "service_request",
        sa.Column(
            "first_answer_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="First answer of any kind, a partial one too",
        ),
    )
    op.add_column(
        "service_request",
        sa.Column("on_time", sa.Boolean(), nullable=True, comment="The outcome, frozen when the clock stops"),
    )
    op.alter_column(
        "service_request",
        "status",
        existing_type=sa.TEXT(),
        comment="Open: received, paused, answered. Closed: notified, withdrawn, transferred, split, merged",
        existing_comment="received, answered, notified",
        existing_nullable=False,
    )
    op.alter_column(
        "service_request",
        "calendar_version",
        existing_type=sa.TEXT(),
        type_=sa.Integer(),
        comment="Number of the calendar version it is computed with",
        existing_nullable=False,
        postgresql_using="1",
    )
    op.alter_column("service_request", "due_date", existing_type=sa.DATE(), nullable=True)
    op.alter_column("service_request", "overdue_at", existing_type=postgresql.TIMESTAMP(timezone=True), nullable=True)
    op.drop_index(op.f("ix_service_request_due_date"), table_name="service_request")
    op.drop_index(op.f("ix_service_request_office_due_date"), table_name="service_request")
    op.create_index(
        "ix_service_request_assignee",
        "service_request",
        ["assignee", sa.literal_column("coalesce(due_date, '9999-12-31'::date)"), "id"],
        unique=False,
        postgresql_where=sa.text("assignee is not null"),
    )
    op.create_index(
        "ix_service_request_closed_at",
        "service_request",
        ["closed_at", "id"],
        unique=False,
        postgresql_where=sa.text("closed_at is not null"),
    )
    op.create_index(
        "ix_service_request_due",
        "service_request",
        [sa.literal_column("coalesce(due_date, '9999-12-31'::date)"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_service_request_merged_into_id",
        "service_request",
        ["merged_into_id"],
        unique=False,
        postgresql_where=sa.text("merged_into_id is not null"),
    )
    op.create_index(
        "ix_service_request_office_due",
        "service_request",
        ["office", sa.literal_column("coalesce(due_date, '9999-12-31'::date)"), "id"],
        unique=False,
    )
    op.create_index(
        "ix_service_request_open",
        "service_request",
        ["office", sa.literal_column("coalesce(due_date, '9999-12-31'::date)"), "id"],
        unique=False,
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_index(
        "ix_service_request_organization_id",
        "service_request",
        ["organization_id"],
        unique=False,
        postgresql_where=sa.text("organization_id is not null"),
    )
    op.create_index(
        "ix_service_request_parent_id",
        "service_request",
        ["parent_id"],
        unique=False,
        postgresql_where=sa.text("parent_id is not null"),
    )
    op.create_index(
        "ix_service_request_project_id",
        "service_request",
        ["project_id"],
        unique=False,
        postgresql_where=sa.text("project_id is not null"),
    )
    op.create_index(
        "ix_service_request_reopens_id",
        "service_request",
        ["reopens_id"],
        unique=False,
        postgresql_where=sa.text("reopens_id is not null"),
    )
    op.create_index(
        "ix_service_request_search_tokens", "service_request", ["search_tokens"], unique=False, postgresql_using="gin"
    )
    op.create_unique_constraint(op.f("uq_service_request_answer_number"), "service_request", ["answer_number"])
    op.drop_constraint("pk_receipt_counter", "receipt_counter")
    op.create_primary_key("pk_receipt_counter", "receipt_counter", ["series", "year"])
    op.alter_column("receipt_counter", "series", server_default=None)
    op.alter_column("service_request", "anonymous", server_default=None)
    op.alter_column("service_request", "confidential", server_default=None)
    op.alter_column("service_request", "minor", server_default=None)
    op.alter_column("service_request", "priority", server_default=None)
    op.alter_column("service_request", "addressees", server_default=None)
    op.alter_column("service_request", "clock_version", server_default=None)
    _carry_over()
    for table in ("history_entry", "audit_link", "access_record", "stopped_clock", "tombstone"):
        op.execute(
            f"create trigger append_only before update or delete on {table} for each row execute function append_only()"
        )
        op.execute(f"create trigger not_emptied before truncate on {table} execute function append_only()")


def _seal_reasons() -> None:
    """What a mail server replied may name the address: it goes where retention erases it, before history can no longer be changed."""
    told = sa.text("select id, details ->> 'reason' as reason from history_entry where details ? 'reason'")
    keep = sa.text(
        "update history_entry set details = details - 'reason', reason = :reason, digest = :digest where id = :id"
    )
    for row in op.get_bind().execute(told).all():
        reason = seal(row.reason).encode()
        op.get_bind().execute(keep, {"id": row.id, "reason": reason, "digest": digest(reason, None)})


def _carry_over() -> None:
    """What is there already, as the new columns say it."""
    op.execute("update history_entry set recorded_at = at")
    # Clocks are derived from history: what the row is told here, the entry must say too.
    op.execute(
        "update history_entry h set details = h.details || jsonb_build_object('acknowledged_at', r.received_at)"
        " from service_request r where r.id = h.request_id and h.kind = 'received' and r.channel in ('web', 'counter')"
    )
    _seal_reasons()
    op.execute(
        "update service_request set first_due_date = due_date, anonymous = petitioner_name is null, closed_at = notified_at,"
        " on_time = notified_at < overdue_at, first_answer_at = answered_at,"
        " answer_kind = case when answered_at is not null then 'answer' end, term_kind = 'legal',"
        " acknowledged_at = case when channel in ('web', 'counter') then received_at end,"
        " alarm_at = case when notified_at is null then now() end"
    )
    op.execute(
        "insert into announcement (request_id, clock, threshold, clock_version, at, told)"
        " select id, 'answer', 'overdue', 1, overdue_announced_at, true from service_request"
        " where overdue_announced_at is not null"
    )
    pack = jurisdiction()
    of_type = sa.text(
        "update service_request set term_extension_max = :most, term_copies_within = :copies, term_kind = :kind"
        " where request_type = :type and term_unit is not null and (received_at at time zone :zone)::date >= :since"
        " and (cast(:until as date) is null or (received_at at time zone :zone)::date < :until)"
    )
    hide = sa.text("update service_request set confidential = true where request_type = :type")
    for kind in pack.request_types:
        if kind.confidential:
            op.get_bind().execute(hide, {"type": kind.code})
        for term in kind.terms:
            copies = term.after_due.n if term.after_due and term.after_due.unit == "business_days" else None
            op.get_bind().execute(
                of_type,
                {"most": term.extension_max_added, "copies": copies, "kind": term.kind, "type": kind.code}
                | {"zone": pack.time_zone, "since": term.valid_from, "until": term.valid_to},
            )
