"""Background work: opens a transaction for each batch."""

import time

from tejido_notifications.campaigns import service
from tejido_notifications.db import tx

ADVANCE = "notifications.advance_campaigns"
TIMETABLE = {ADVANCE: 2.0}
"""Seconds between two runs."""
RUN_SECONDS = 2.0


def advance() -> bool:
    """Queues messages of running campaigns, holds those of paused ones, cancels those of cancelled ones and what would come after
    the meeting, batch by batch, for a few seconds at most. Returns whether there may be more to do."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        with tx() as session:
            worked = service.step(session)
        if not worked:
            return False
    return True
