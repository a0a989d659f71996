"""Reminders go to more people than the head of the office; what is personal of a message can be erased."""

import sqlalchemy as sa
from alembic import op

revision = "20261121_audiences"
down_revision = "20261120_notifications"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column(
        "delivery",
        "audience",
        comment="Whom it is for: citizen, assignee, office, office_head, authority",
        existing_comment="Whom it is for: citizen, office_head",
    )
    op.add_column(
        "delivery",
        sa.Column(
            "erased_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When recipient, content and the server's words were erased with the data of what it is about",
        ),
    )
