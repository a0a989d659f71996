"""Forgets what the seam no longer needs."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_shared.seam import idempotency, inbox

INBOX_DAYS = 90
"""Longer than any restored backup of a publisher reaches back; a publisher restored from an older one would be heard twice."""
IDEMPOTENCY_HOURS = 48


def forget_old(session: Session, instant: datetime) -> None:
    """Deletes inbox rows after 90 days and remembered answers after 48 hours."""
    session.execute(sa.delete(inbox).where(inbox.c.received_at < instant - timedelta(days=INBOX_DAYS)))
    session.execute(
        sa.delete(idempotency).where(idempotency.c.created_at < instant - timedelta(hours=IDEMPOTENCY_HOURS))
    )
