"""Announcing what clocks have come to: opens a transaction, calls a use case."""

from collections.abc import Callable

import structlog

from tejido_requests.clocks import service
from tejido_requests.db import tx
from tejido_shared.clock import now

log = structlog.get_logger()


def announce(call_help: Callable[[], None] = lambda: None) -> int:
    """Announces every threshold that has passed. Returns of how many requests. If they are many, another worker is called to help."""
    announced = 0
    while True:
        with tx() as session:
            found = service.announce(session, now())
        if found == service.SWEEP_BATCH and not announced:
            call_help()
        announced += found
        if found < service.SWEEP_BATCH:
            break
    if announced:
        log.info("thresholds_announced", requests=announced)
    return announced
