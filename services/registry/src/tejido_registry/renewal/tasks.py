"""Background work: opens a transaction for each batch."""

import time

import structlog

from tejido_registry.db import tx
from tejido_registry.procedure import service as procedure
from tejido_registry.renewal import service
from tejido_registry.standing.service import today

TURN = "registry.turn_calendar"
TIMETABLE = {TURN: 60.0}
"""Seconds between two runs."""
RUN_SECONDS = 45.0

log = structlog.get_logger()


def turn() -> bool:
    """Does what the day asks for, batch by batch, for less than a minute. Returns whether there may be more to do."""
    until, day, turned = time.monotonic() + RUN_SECONDS, today(), 0
    while time.monotonic() < until:
        with tx() as session:
            found = service.turn(session, day, service.BATCH)
        turned += found
        if found < service.BATCH:
            break
    else:
        found = service.BATCH
    with tx() as session:
        procedure.lapse(session, day)
    if turned:
        log.info("calendar_turned", organizations=turned)
    return found == service.BATCH
