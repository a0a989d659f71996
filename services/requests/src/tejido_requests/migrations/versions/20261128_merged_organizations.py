"""Where an organization that was found to be another lives on."""

import sqlalchemy as sa
from alembic import op

revision = "20261128_merged_organizations"
down_revision = "20261121_desk"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "known_organization",
        sa.Column("merged_into", sa.Uuid(), nullable=True, comment="The organization it was found to be"),
    )
    op.create_index(
        "ix_known_organization_merged_into",
        "known_organization",
        ["merged_into"],
        unique=False,
        postgresql_where=sa.text("merged_into is not null"),
    )
