"""What happens to documents by itself: opens transactions, calls use cases."""

import time
from datetime import timedelta
from itertools import islice

import structlog

from tejido_registry.db import tx
from tejido_registry.documents import queries, service
from tejido_shared.clock import now
from tejido_shared.files import Altered, ScannerUnavailable, StoreUnavailable
from tejido_shared.refusals import Refused

SCAN = "registry.scan_documents"
SWEEP = "registry.sweep_documents"
TIMETABLE = {SCAN: 60.0, SWEEP: 3600.0}
"""Seconds between two runs."""
ORPHANED = timedelta(days=1)
"""A file older than this without a row will never have one: no upload takes so long."""
SCAN_SECONDS = 50
SCANNED_AT_ONCE = 500
_GIVE_UP = 3
log = structlog.get_logger()


def sweep() -> int:
    """Deletes the files that no row speaks of. Returns how many."""
    deleted = 0
    keys = service.store.keys(now() - ORPHANED)
    while some := list(islice(keys, 500)):
        with tx() as session:
            orphans = set(some) - queries.known(session, some)
        for key in orphans:
            service.store.delete(key)
        deleted += len(orphans)
    if deleted:
        log.info("files_swept", files=deleted)
    return deleted


def scan() -> int:
    """Scans what came while the scanner was away, or before there was one. Returns how many documents got a verdict."""
    if not service.store.scans:
        return 0
    until, done, failures = time.monotonic() + SCAN_SECONDS, 0, 0
    with tx() as session:
        waiting = queries.to_scan(session, SCANNED_AT_ONCE)
    for document_id, key in waiting:
        if failures == _GIVE_UP or time.monotonic() > until:
            break
        infected = False
        try:
            at = service.store.rescan(key)
        except Refused:
            at, infected = now(), True
        except (ScannerUnavailable, StoreUnavailable):
            failures += 1
            continue
        except (FileNotFoundError, Altered) as error:
            log.error("document_unreadable", document=str(document_id), error=type(error).__name__)  # noqa: TRY400
            continue
        with tx() as session:
            told = service.scanned(session, document_id, key, at, infected=infected)
        if told and infected:
            log.warning("document_infected", document=str(document_id))
            service.store.delete(key)
        failures, done = 0, done + 1
    return done
