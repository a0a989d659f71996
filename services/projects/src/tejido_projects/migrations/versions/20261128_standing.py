"""What an organization may do, until when somebody signs for it, and where it lives on."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261128_standing"
down_revision = "20261120_projects"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "known_organization",
        sa.Column(
            "standing",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Purpose: codes of why not, when the event was written; null: the event said nothing of it",
        ),
    )
    op.add_column(
        "known_organization",
        sa.Column("mandate_until", sa.Date(), nullable=True, comment="Last day of whoever signs for it"),
    )
    op.add_column(
        "known_organization",
        sa.Column("merged_into", sa.Uuid(), nullable=True, comment="The organization it lives on in"),
    )
    op.create_index(
        "ix_known_organization_merged_into",
        "known_organization",
        ["merged_into"],
        unique=False,
        postgresql_where=sa.text("merged_into is not null"),
    )
