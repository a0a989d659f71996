"""Forgets what the seam no longer needs."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_shared.seam import idempotency, inbox

INBOX_DAYS = 90
"""Longer than any restored backup of a publisher reaches back; a publisher restored from an older one would be heard twice."""
IDEMPOTENCY_HOURS = 48


SLICE = 20_000


def forget_old(session: Session, instant: datetime) -> None:
    """Deletes inbox rows after 90 days and remembered answers after 48 hours, a slice at a time: the next run takes the next."""
    old = sa.select(inbox.c.event_id).where(inbox.c.received_at < instant - timedelta(days=INBOX_DAYS)).limit(SLICE)
    session.execute(sa.delete(inbox).where(inbox.c.event_id.in_(old.scalar_subquery())))
    remembered = idempotency.c.created_at < instant - timedelta(hours=IDEMPOTENCY_HOURS)
    keys = sa.select(idempotency.c.client, idempotency.c.key).where(remembered).limit(SLICE)
    session.execute(sa.delete(idempotency).where(sa.tuple_(idempotency.c.client, idempotency.c.key).in_(keys)))
