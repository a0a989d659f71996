"""Sealing history."""

import structlog

from tejido_requests.audit import chain
from tejido_requests.db import database

log = structlog.get_logger()


def seal() -> int:
    """Gives every new entry its link in the audit chain. Returns how many."""
    sealed = chain.seal(database)
    if sealed:
        log.info("history_sealed", entries=sealed)
    return sealed
