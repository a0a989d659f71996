"""An organization that was found to be another is not called any more."""

import sqlalchemy as sa
from alembic import op

revision = "20261128_merged_organizations"
down_revision = "20261128_standing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "known_organization",
        sa.Column("merged_into", sa.Uuid(), nullable=True, comment="The organization it was found to be"),
    )
