"""The search for duplicates in the background: opens a transaction for each batch."""

import time

from tejido_registry.db import tx
from tejido_registry.duplicates import service

COMPARE = "registry.compare_organizations"
TIMETABLE = {COMPARE: 30.0}
"""Seconds between two runs."""
RUN_SECONDS = 60.0


def compare() -> bool:
    """Compares organizations that are new or have changed, for a minute at most. Returns whether there may be more to do."""
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        with tx() as session:
            if not service.check_due(session):
                return False
    return True
