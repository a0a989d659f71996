"""Whose a request is and whether its petitioner is confidential: by that, who may see what was written to them."""

import sqlalchemy as sa
from alembic import op

revision = "20261129_known_requests"
down_revision = "20261128_merged_organizations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "known_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("office", sa.Text(), nullable=False, comment="Whose it is now"),
        sa.Column("confidential", sa.Boolean(), nullable=False, comment="Who asks is shown for a reason only"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_request")),
    )
