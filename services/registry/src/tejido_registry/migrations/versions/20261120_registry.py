"""Organizations, their identifiers, contacts, references, history and numbers, and the seam."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tejido_shared.migrations import create_seam_tables

revision = "20261120_registry"
down_revision = None
branch_labels = None
depends_on = None

_NAMES = "regexp_replace(fold(name || ' ' || coalesce(public_name, '') || ' ' || other_names::text), '[^[:alnum:]]+', ' ', 'g')"
_SEARCHABLE = f"to_tsvector('simple'::regconfig, {_NAMES}) || to_tsvector('spanish'::regconfig, {_NAMES})"


def upgrade() -> None:
    create_seam_tables()
    op.create_table(
        "number_counter",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_number_counter")),
    )
    op.create_table(
        "organization",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_name", sa.Text(), nullable=True),
        sa.Column("other_names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("organization_type", sa.Text(), nullable=False, comment="Code of the jurisdiction pack"),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("locality", sa.Text(), nullable=True, comment="Town or village"),
        sa.Column("territory", sa.Text(), nullable=True, comment="District, localidad or barrio within it"),
        sa.Column("latitude", sa.Double(), nullable=True, comment="Degrees, WGS 84"),
        sa.Column("longitude", sa.Double(), nullable=True, comment="Degrees, WGS 84"),
        sa.Column("registration_status", sa.Text(), nullable=False),
        sa.Column(
            "registered_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Entry in the register; of a draft, its beginning",
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="The row's last change; says nothing about its truth",
        ),
        sa.Column("sort_name", sa.Text(), sa.Computed("left(fold(name), 100)", persisted=True), nullable=False),
        sa.Column("searchable", postgresql.TSVECTOR(), sa.Computed(_SEARCHABLE, persisted=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
        sa.UniqueConstraint("number", name=op.f("uq_organization_number")),
    )
    op.create_index("ix_organization_latitude_longitude", "organization", ["latitude", "longitude"], unique=False)
    op.create_index("ix_organization_registered_at", "organization", ["registered_at", "id"], unique=False)
    op.create_index("ix_organization_searchable", "organization", ["searchable"], unique=False, postgresql_using="gin")
    op.create_index("ix_organization_sort_name", "organization", ["sort_name", "id"], unique=False)
    op.create_table(
        "contact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=True),
        sa.Column("post", sa.Text(), nullable=True, comment="What the person is in the organization"),
        sa.Column("email", sa.LargeBinary(), nullable=True),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_contact_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
    )
    op.create_index("ix_contact_organization_id", "contact", ["organization_id", "position"], unique=False)
    op.create_table(
        "external_reference",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=False,
            comment="Of the row as last imported; the same again changes nothing",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_external_reference_organization_id")
        ),
        sa.PrimaryKeyConstraint("source", "key", name=op.f("pk_external_reference")),
    )
    op.create_index("ix_external_reference_organization_id", "external_reference", ["organization_id"], unique=False)
    op.create_table(
        "identifier",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False, comment="Without separators; a NIT without its check digit"),
        sa.Column("check_digit", sa.Text(), nullable=True, comment="Of a NIT: typed by a person, never inferred"),
        sa.Column(
            "exclusive", sa.Boolean(), nullable=False, comment="The scheme gave each number once when this was stored"
        ),
        sa.Column("of_a_person", sa.Boolean(), nullable=False, comment="A person's tax number: for officials only"),
        sa.ForeignKeyConstraint(["organization_id"], ["organization.id"], name=op.f("fk_identifier_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identifier")),
    )
    op.create_index("ix_identifier_organization_id", "identifier", ["organization_id"], unique=False)
    op.create_index("ix_identifier_value", "identifier", ["value"], unique=False)
    op.create_index(
        "uq_identifier_scheme_value",
        "identifier",
        ["scheme", "value"],
        unique=True,
        postgresql_where=sa.text("exclusive"),
    )
    op.create_table(
        "organization_history",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=True, comment="Subject of an account; null for a command"),
        sa.Column("reason", sa.LargeBinary(), nullable=True, comment="May name persons"),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_organization_history_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization_history")),
    )
    op.create_index(
        "ix_organization_history_organization_id", "organization_history", ["organization_id", "at", "id"], unique=False
    )
