"""The register: procedure, documents, mandates, verifications, surveys, directory, imports that run on, duplicates and merges."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261128_register"
down_revision = "20261120_registry"
branch_labels = None
depends_on = None

# The middle of the square that the point lies in, on a grid whose origin only the secret seed tells. So it says no more however often it
# is read, stays while the true point is only corrected, and a true point that becomes known does not tell where the next one is. From
# any point of a square it is at most 0.95 `meters` to its middle; whoever is nearer than a tenth is shown farther off.
_BLUR = """
create function blurred_point(seed uuid, latitude float8, longitude float8, meters integer) returns float8[]
language plpgsql immutable strict parallel safe as $$
declare
    drawn constant bytea := sha256(seed::text::bytea);
    step constant float8 := 1.34 * meters / 111195;
    u constant float8 := (get_byte(drawn, 0) * 65536 + get_byte(drawn, 1) * 256 + get_byte(drawn, 2)) / 16777216.0;
    v constant float8 := (get_byte(drawn, 3) * 65536 + get_byte(drawn, 4) * 256 + get_byte(drawn, 5)) / 16777216.0;
    north float8 := (floor(latitude / step - u) + u + 0.5) * step;
    narrower constant float8 := greatest(cos(radians(north)), 0.01);
    east constant float8 := (floor(longitude * narrower / step - v) + v + 0.5) * step / narrower;
begin
    if sqrt(power(latitude - north, 2) + power((longitude - east) * narrower, 2)) < 0.1 * meters / 111195 then
        north := north + 0.2 * meters / 111195;
    end if;
    return array[round(north::numeric, 5)::float8, round(east::numeric, 5)::float8];
end $$
"""
_PUBLIC = (
    "case point_shown when 'exact' then {column}"
    " when 'blurred' then (blurred_point(blur_seed, latitude, longitude, blur_meters))[{index}] end"
)
_LISTED = "({row}.standing -> 'be_listed') = '[]'::jsonb"
_SEEN = (
    *(
        "number",
        "name",
        "public_name",
        "other_names",
        "organization_type",
        "registration_status",
        "area",
        "locality",
        "territory",
    ),
    *(
        "themes",
        "populations",
        "verified_on",
        "merged_into",
        "address",
        "purpose",
        "website",
        "point_shown",
        "changed_at",
    ),
    *("public_latitude", "public_longitude"),
)
_TRIGGERS = f"""
create function note_change() returns trigger language plpgsql as $$
begin
    insert into change (organization_id, at) values (new.id, now()) on conflict (tx, organization_id) do nothing;
    return null;
end $$;
create function note_change_of_profile() returns trigger language plpgsql as $$
begin
    insert into change (organization_id, at)
        select id, now() from organization where id = new.organization_id and {_LISTED.format(row="organization")}
        on conflict (tx, organization_id) do nothing;
    return null;
end $$;
create trigger listed after insert on organization for each row
    when ({_LISTED.format(row="new")}) execute function note_change();
create trigger changed after update on organization for each row
    when (
        ({_LISTED.format(row="old")} or {_LISTED.format(row="new")})
        and (({_LISTED.format(row="old")}), {", ".join("old." + name for name in _SEEN)})
            is distinct from (({_LISTED.format(row="new")}), {", ".join("new." + name for name in _SEEN)})
    ) execute function note_change();
create trigger changed after insert or update on public_profile for each row execute function note_change_of_profile();
"""  # noqa: S608 - names of ours


def upgrade() -> None:
    op.execute("create extension if not exists pg_trgm")  # trusted: the owner of the database may
    op.execute(_BLUR)
    op.create_table(
        "import_job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("mapping", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("file_key", sa.Uuid(), nullable=True, comment="Null once the file was done with and deleted"),
        sa.Column(
            "file_sha256",
            sa.Text(),
            nullable=False,
            comment="Of the table: sent again while it runs, it is the same job",
        ),
        sa.Column("language", sa.Text(), nullable=False, comment="In which its problems are told"),
        sa.Column("status", sa.Text(), nullable=False, comment="waiting, running, done, failed or cancelled"),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("all_or_nothing", sa.Boolean(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("next_row", sa.Integer(), nullable=False, comment="Rows before it are done"),
        sa.Column(
            "attempts",
            sa.Integer(),
            nullable=False,
            comment="How often it was begun without getting a batch further",
        ),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("error", sa.Text(), nullable=True, comment="Code of why the whole failed"),
        sa.Column("error_params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_job")),
    )
    op.create_index("ix_import_job_created_at", "import_job", ["created_at", "id"], unique=False)
    op.create_table(
        "import_mapping",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("mapping", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("saved_by", sa.Text(), nullable=True),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_import_mapping")),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("document_kind", sa.Text(), nullable=True, comment="cc, ce, dni, passport, other"),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.Column(
            "document_mark", sa.LargeBinary(), nullable=True, comment="Keyed hash: the same person in two boards"
        ),
        sa.Column("email", sa.LargeBinary(), nullable=True),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
    )
    op.create_index("ix_person_document_mark", "person", ["document_mark"], unique=False)
    op.create_table(
        "survey",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "areas",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Codes of the jurisdiction pack; none: the whole town",
        ),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_survey")),
    )
    op.create_table(
        "territory",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="area or neighborhood"),
        sa.Column("code", sa.Text(), nullable=False, comment="Of an area, that of the jurisdiction pack"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=True, comment="The area a neighborhood is in"),
        sa.Column(
            "shape",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="GeoJSON geometry, WGS 84: polygons, or a point for a barrio",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_territory")),
        sa.UniqueConstraint("kind", "code", name=op.f("uq_territory_kind_code")),
    )
    op.create_table(
        "access",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="Of the account"),
        sa.Column("what", sa.Text(), nullable=False, comment="document or person"),
        sa.Column("seen", sa.Uuid(), nullable=False, comment="Its key"),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_access_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access")),
    )
    op.create_index("ix_access_organization_id", "access", ["organization_id", "at", "id"], unique=False)
    op.create_table(
        "application",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="registration or annual_filing"),
        sa.Column("period", sa.Integer(), nullable=True, comment="Year an annual filing is of"),
        sa.Column("number", sa.Text(), nullable=False, comment="Of the receipt"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="submitted, in_review, needs_correction, accepted, rejected, withdrawn",
        ),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_by", sa.Text(), nullable=False),
        sa.Column(
            "on_behalf", sa.Boolean(), nullable=False, comment="An officer filed it at a counter for the organization"
        ),
        sa.Column(
            "consented_at", sa.DateTime(timezone=True), nullable=True, comment="To the treatment of personal data"
        ),
        sa.Column("due_on", sa.Date(), nullable=False, comment="Last day to decide"),
        sa.Column("reviewer", sa.Text(), nullable=True),
        sa.Column("correction_until", sa.Date(), nullable=True),
        sa.Column("corrections", sa.Integer(), nullable=False, comment="How often it was asked to correct"),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("reasons", sa.LargeBinary(), nullable=True),
        sa.Column("note", sa.LargeBinary(), nullable=True, comment="The organization's words when it filed"),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_application_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_application")),
        sa.UniqueConstraint("number", name=op.f("uq_application_number")),
    )
    op.create_index("ix_application_organization_id", "application", ["organization_id"], unique=False)
    op.create_index("ix_application_status_due_on", "application", ["status", "due_on"], unique=False)
    op.create_index(
        "uq_application_open",
        "application",
        ["organization_id", "kind"],
        unique=True,
        postgresql_where=sa.text("status in ('submitted', 'in_review', 'needs_correction')"),
    )
    op.create_table(
        "branch",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("locality", sa.Text(), nullable=True),
        sa.Column("area", sa.Text(), nullable=True, comment="Code of the jurisdiction pack"),
        sa.Column("latitude", sa.Double(), nullable=True, comment="Degrees, WGS 84"),
        sa.Column("longitude", sa.Double(), nullable=True, comment="Degrees, WGS 84"),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_branch_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branch")),
    )
    op.create_index("ix_branch_organization_id", "branch", ["organization_id"], unique=False)
    op.create_table(
        "certificate",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False, comment="What the QR holds; cannot be guessed"),
        sa.Column(
            "said", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="What it states, nothing personal"
        ),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.Text(), nullable=False),
        sa.Column("good_until", sa.Date(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_why", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_certificate_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificate")),
        sa.UniqueConstraint("code", name=op.f("uq_certificate_code")),
        sa.UniqueConstraint("number", name=op.f("uq_certificate_number")),
    )
    op.create_index("ix_certificate_organization_id", "certificate", ["organization_id"], unique=False)
    op.create_table(
        "change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tx", sa.BigInteger(), server_default=sa.text("pg_current_xact_id()::text::bigint"), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_change_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change")),
        sa.UniqueConstraint("tx", "organization_id", name=op.f("uq_change_tx_organization_id")),
    )
    op.create_index("ix_change_tx", "change", ["tx", "id"], unique=False)
    op.create_table(
        "document",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("document_type", sa.Text(), nullable=False, comment="Code of the jurisdiction pack"),
        sa.Column("personal", sa.Boolean(), nullable=False, comment="It tells of persons"),
        sa.Column("issued_on", sa.Date(), nullable=True),
        sa.Column("expires_on", sa.Date(), nullable=True, comment="Last day it is good for"),
        sa.Column("file_key", sa.Uuid(), nullable=False),
        sa.Column("file_name", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="Bytes"),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("scanned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False, comment="handed_in, verified, refused or replaced"),
        sa.Column("handed_in_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handed_in_by", sa.Text(), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("judged_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=True, comment="Why it was refused"),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_document_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
    )
    op.create_index("ix_document_organization_id", "document", ["organization_id", "document_type"], unique=False)
    op.create_table(
        "duplicate_pair",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("first_id", sa.Uuid(), nullable=False),
        sa.Column("second_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False, comment="0 to 1: how likely they are one"),
        sa.Column(
            "signals",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="What speaks for and against, with its weight",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="pending, different or merged"),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["first_id"], ["organization.id"], name=op.f("fk_duplicate_pair_first_id")),
        sa.ForeignKeyConstraint(["second_id"], ["organization.id"], name=op.f("fk_duplicate_pair_second_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_duplicate_pair")),
        sa.UniqueConstraint("first_id", "second_id", name=op.f("uq_duplicate_pair_first_id_second_id")),
    )
    op.create_index("ix_duplicate_pair_second_id", "duplicate_pair", ["second_id"], unique=False)
    op.create_index("ix_duplicate_pair_status_score", "duplicate_pair", ["status", "score", "id"], unique=False)
    op.create_table(
        "match_key",
        sa.Column("key", sa.Text(), nullable=False, comment="n:, g:, i: are plain; p: and e: are keyed hashes"),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_match_key_organization_id")),
        sa.PrimaryKeyConstraint("key", "organization_id", name=op.f("pk_match_key")),
    )
    op.create_index("ix_match_key_organization_id", "match_key", ["organization_id"], unique=False)
    op.create_table(
        "match_check",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_match_check_organization_id")),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_match_check")),
    )
    op.create_table(
        "import_problem",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["import_job.id"], name=op.f("fk_import_problem_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_import_problem")),
    )
    op.create_table(
        "mandate",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column(
            "organ",
            sa.Text(),
            nullable=False,
            comment="direction, administration, oversight, conciliation, representation",
        ),
        sa.Column("post", sa.Text(), nullable=False),
        sa.Column("signs", sa.Boolean(), nullable=False, comment="Signs for the organization"),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False, comment="Last day"),
        sa.Column("ended_on", sa.Date(), nullable=True, comment="Last day, where it ended before its term"),
        sa.Column("ended_why", sa.Text(), nullable=True, comment="resignation, removal, death, replaced, error"),
        sa.Column("act", sa.Text(), nullable=True, comment="That recognized it (auto de reconocimiento, acta)"),
        sa.Column("recorded_by", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_mandate_organization_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_mandate_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mandate")),
    )
    op.create_index("ix_mandate_organization_id", "mandate", ["organization_id"], unique=False)
    op.create_index("ix_mandate_person_id", "mandate", ["person_id"], unique=False)
    op.create_table(
        "merge",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("survivor_id", sa.Uuid(), nullable=False),
        sa.Column("absorbed_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, comment="proposed, done, undone or refused"),
        sa.Column(
            "choices", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Field: survivor or absorbed"
        ),
        sa.Column(
            "moved",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Table: how many of its rows moved",
        ),
        sa.Column("before", sa.LargeBinary(), nullable=True, comment="JSON: what both were, to undo it"),
        sa.Column(
            "kept",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="What could not be undone: table or field, and why",
        ),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_by", sa.Text(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undo_until", sa.Date(), nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["absorbed_id"], ["organization.id"], name=op.f("fk_merge_absorbed_id")),
        sa.ForeignKeyConstraint(["survivor_id"], ["organization.id"], name=op.f("fk_merge_survivor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merge")),
    )
    op.create_index("ix_merge_survivor_id", "merge", ["survivor_id"], unique=False)
    op.create_index(
        "uq_merge_open",
        "merge",
        ["absorbed_id"],
        unique=True,
        postgresql_where=sa.text("status in ('proposed', 'done')"),
    )
    op.create_table(
        "public_profile",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "consents", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Field: instant of the consent"
        ),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_public_profile_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_public_profile")),
    )
    op.create_table(
        "reminder",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="mandate or filing"),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False, comment="Before that date"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_reminder_organization_id")),
        sa.PrimaryKeyConstraint("organization_id", "kind", "due_on", "days", name=op.f("pk_reminder")),
    )
    op.create_table(
        "verification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column(
            "fields",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="identity, location, contact, authorities, documents",
        ),
        sa.Column("method", sa.Text(), nullable=False, comment="document, phone, visit or register"),
        sa.Column("verified_on", sa.Date(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False, comment="confirmed, corrected or not_confirmed"),
        sa.Column("survey_id", sa.Uuid(), nullable=True),
        sa.Column("note", sa.LargeBinary(), nullable=True),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_verification_organization_id")),
        sa.ForeignKeyConstraint(["survey_id"], ["survey.id"], name=op.f("fk_verification_survey_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verification")),
    )
    op.create_index("ix_verification_organization_id", "verification", ["organization_id", "verified_on"], unique=False)
    op.create_table(
        "defect",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("application_id", sa.Uuid(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False, comment="1 for the first time it was asked"),
        sa.Column("item", sa.Text(), nullable=False, comment="A field of the organization, or document:<code>"),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("corrected_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_defect_application_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_defect")),
    )
    op.create_index("ix_defect_application_id", "defect", ["application_id"], unique=False)
    op.add_column(
        "number_counter",
        sa.Column(
            "series",
            sa.Text(),
            server_default="organization",
            nullable=False,
            comment="organization, application or certificate",
        ),
    )
    op.add_column(
        "organization",
        sa.Column("area", sa.Text(), nullable=True, comment="District or localidad: code of the jurisdiction pack"),
    )
    op.add_column(
        "organization",
        sa.Column(
            "area_found",
            sa.Text(),
            nullable=True,
            comment="The area that its point lies in; what was typed may disagree",
        ),
    )
    op.add_column("organization", sa.Column("neighborhood", sa.Text(), nullable=True, comment="Barrio"))
    op.add_column("organization", sa.Column("purpose", sa.Text(), nullable=True))
    op.add_column("organization", sa.Column("founded_on", sa.Date(), nullable=True))
    op.add_column("organization", sa.Column("website", sa.Text(), nullable=True))
    op.add_column(
        "organization",
        sa.Column(
            "themes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
            comment="Codes of the jurisdiction pack",
        ),
    )
    op.add_column(
        "organization",
        sa.Column(
            "populations",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
            comment="Codes of the jurisdiction pack",
        ),
    )
    op.add_column(
        "organization",
        sa.Column(
            "status_until", sa.Date(), nullable=True, comment="Last day of a suspension, or to correct what was asked"
        ),
    )
    op.add_column("organization", sa.Column("legal_status", sa.Text(), nullable=True, comment="Null: nobody said"))
    op.add_column(
        "organization", sa.Column("mandate_status", sa.Text(), server_default=sa.text("'unknown'"), nullable=False)
    )
    op.add_column(
        "organization",
        sa.Column("mandate_until", sa.Date(), nullable=True, comment="Last day of whoever signs for it now"),
    )
    op.add_column("organization", sa.Column("freshness", sa.Text(), server_default=sa.text("'never'"), nullable=False))
    op.add_column("organization", sa.Column("verified_on", sa.Date(), nullable=True))
    op.add_column(
        "organization",
        sa.Column("filing_due_on", sa.Date(), nullable=True, comment="Last day for the next annual filing"),
    )
    op.add_column(
        "organization",
        sa.Column(
            "standing",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Purpose: codes of why not; as last told to others",
        ),
    )
    op.add_column(
        "organization",
        sa.Column("axes_due_on", sa.Date(), nullable=True, comment="The day on which a date changes an axis next"),
    )
    op.add_column(
        "organization",
        sa.Column(
            "contact_bounced_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Its mail came back; null once it has another",
        ),
    )
    op.add_column("organization", sa.Column("merged_into", sa.Uuid(), nullable=True, comment="Where it lives on"))
    op.add_column(
        "organization",
        sa.Column("captured_by", sa.Text(), nullable=True, comment="Subject of who entered it; null for a command"),
    )
    op.add_column(
        "organization",
        sa.Column(
            "on_behalf",
            sa.Boolean(),
            server_default=sa.true(),
            nullable=False,
            comment="An official entered it; else who did acts for it",
        ),
    )
    op.add_column(
        "organization",
        sa.Column(
            "point_shown",
            sa.Text(),
            server_default="hidden",
            nullable=False,
            comment="To the public: exact, blurred or hidden",
        ),
    )
    op.add_column(
        "organization",
        sa.Column(
            "blur_meters", sa.Integer(), nullable=True, comment="How far from the true point a blurred one may be"
        ),
    )
    op.add_column(
        "organization",
        sa.Column(
            "blur_seed",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Secret, drawn once: where its blurred point lies follows from it",
        ),
    )
    for index, column in enumerate(("latitude", "longitude"), 1):
        op.add_column(
            "organization",
            sa.Column(
                f"public_{column}",
                sa.Double(),
                sa.Computed(_PUBLIC.format(column=column, index=index), persisted=True),
                nullable=True,
            ),
        )
    op.create_index(
        "ix_organization_public_point", "organization", ["public_latitude", "public_longitude"], unique=False
    )
    op.add_column(
        "organization",
        sa.Column(
            "folded_names",
            sa.Text(),
            sa.Computed(
                "regexp_replace(fold(name || ' ' || coalesce(public_name, '') || ' ' || other_names::text), '[^[:alnum:]]+', ' ', 'g')",
                persisted=True,
            ),
            nullable=False,
        ),
    )
    op.create_index(
        "ix_organization_captured_by",
        "organization",
        ["captured_by"],
        unique=False,
        postgresql_where=sa.text("not on_behalf"),
    )
    op.create_index("ix_organization_axes_due_on", "organization", ["axes_due_on"], unique=False)
    op.create_index(
        "ix_organization_folded_names",
        "organization",
        ["folded_names"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"folded_names": "gin_trgm_ops"},
    )
    op.create_index(
        "ix_organization_merged_into",
        "organization",
        ["merged_into"],
        unique=False,
        postgresql_where=sa.text("merged_into is not null"),
    )
    op.create_foreign_key(op.f("fk_organization_merged_into"), "organization", "organization", ["merged_into"], ["id"])
    # The calendar's next turn gives each the date of its next filing, and tells the others what it may do.
    op.execute("update organization set axes_due_on = current_date")
    for column in (
        "themes",
        "populations",
        "mandate_status",
        "freshness",
        "standing",
        "on_behalf",
        "point_shown",
        "blur_seed",
    ):
        op.alter_column("organization", column, server_default=None)
    op.drop_constraint("pk_number_counter", "number_counter", type_="primary")
    op.create_primary_key("pk_number_counter", "number_counter", ["series", "year"])
    op.execute(_TRIGGERS)
    # Most are listed, which the planner cannot know by itself.
    op.execute("create statistics organization_listed on (standing['be_listed']) from organization")
