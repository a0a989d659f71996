"""Re-dating open requests after a change of the calendar: opens transactions, calls use cases."""

import time

import structlog

from tejido_requests.calendars import proposals, redating
from tejido_requests.db import tx

log = structlog.get_logger()
LONGEST = 120.0
"""Seconds of one run; well below what a task may take. The next tick goes on."""
_seen: set[str] = set()


def redate() -> int:
    """Re-dates what a confirmed change moves, batch by batch. Returns how many batches it did.

    Once in the life of a process also what could not be counted before: what was wrong with it is mended by another release.
    """
    if "left" not in _seen:
        redate_left()
        _seen.add("left")
    search, batches, end = redating.Search(), 0, time.monotonic() + LONGEST
    while time.monotonic() < end:
        with tx() as session:
            more = redating.redate_some(session, search)
        if not more:
            break
        batches += 1
    if batches:
        log.info("redating", batches=batches)
    return batches


def redate_left() -> None:
    with tx() as session:
        redating.redate_left(session)


def look_at_pack() -> None:
    """Proposes what a pack with other closures than the first version's has; once in the life of a process."""
    if not _seen:
        with tx() as session:
            proposals.from_pack(session)
        _seen.add("pack")
