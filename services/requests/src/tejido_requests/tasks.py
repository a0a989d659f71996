"""Background work: opens a transaction, calls a use case."""

import structlog

from tejido_requests import service
from tejido_requests.db import tx
from tejido_shared.clock import now

log = structlog.get_logger()
SWEEP = "requests.announce_overdue"
TIMETABLE = {SWEEP: 5.0}
"""Seconds between two runs of a task."""


def announce_overdue() -> int:
    """Announces every request whose due instant has passed. Returns how many."""
    announced = 0
    while True:
        with tx() as session:
            found = service.announce_overdue(session, now())
        announced += found
        if found < service.SWEEP_BATCH:
            break
    if announced:
        log.info("overdue_announced", requests=announced)
    return announced
