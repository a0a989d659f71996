"""Projects, their stages and numbers, the organizations known, and the seam."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tejido_shared.migrations import create_seam_tables

revision = "20261120_projects"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_seam_tables()
    op.create_table(
        "known_organization",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_organization")),
    )
    op.create_table(
        "number_counter",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_number_counter")),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("need", sa.Text(), nullable=False, comment="What problem it answers"),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("place", sa.Text(), nullable=False, comment="Where, in words"),
        sa.Column("locality", sa.Text(), nullable=True, comment="Localidad, comuna or district"),
        sa.Column("longitude", sa.Double(), nullable=True, comment="Degrees, WGS 84"),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("estimated_cost", sa.Numeric(precision=18, scale=2), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217"),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("presented_by", sa.Text(), nullable=False, comment="Subject of the account that presented it"),
        sa.Column("presented_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("stage_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_step", sa.Text(), nullable=True, comment="Null: what the catalogue says of the stage"),
        sa.Column("next_step_on", sa.Date(), nullable=True, comment="Null in a final stage"),
        sa.Column(
            "words",
            postgresql.TSVECTOR(),
            sa.Computed(
                "to_tsvector('simple', regexp_replace(fold("
                "number || ' ' || title || ' ' || need || ' ' || coalesce(summary, '') || ' ' || place"
                "), '[^a-z0-9]+', ' ', 'g'))",
                persisted=True,
            ),
            nullable=False,
            comment="To be searched without accents",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["known_organization.id"], name=op.f("fk_project_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        sa.UniqueConstraint("number", name=op.f("uq_project_number")),
    )
    op.create_index(
        "ix_project_organization_id_presented_at", "project", ["organization_id", "presented_at", "id"], unique=False
    )
    op.create_index("ix_project_presented_at", "project", ["presented_at", "id"], unique=False)
    op.create_index("ix_project_stage_presented_at", "project", ["stage", "presented_at", "id"], unique=False)
    op.create_index("ix_project_title", "project", [sa.literal_column("fold(title)"), "id"], unique=False)
    op.create_index("ix_project_words", "project", ["words"], unique=False, postgresql_using="gin")
    op.create_table(
        "stage_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("from_stage", sa.Text(), nullable=True),
        sa.Column("to_stage", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.Text(), nullable=False, comment="Subject of an account"),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_stage_entry_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_entry")),
    )
    op.create_index("ix_stage_entry_project_id", "stage_entry", ["project_id", "at"], unique=False)
