"""What organizations may do is known, so that calls reach those that may."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261128_standing"
down_revision = "20261128_messages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "known_organization",
        sa.Column(
            "allowed",
            postgresql.ARRAY(sa.Text()),
            server_default="{}",
            nullable=False,
            comment="Codes of the purposes its standing is good for",
        ),
    )
