"""Reminders go to more people than the head of the office."""

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
