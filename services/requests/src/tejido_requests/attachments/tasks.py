"""What happens to documents by itself: opens transactions, calls use cases."""

import time
from datetime import timedelta
from itertools import islice

import structlog

from tejido_requests.attachments import queries, service
from tejido_requests.db import read, tx
from tejido_shared.clock import now
from tejido_shared.files import Altered, ScannerUnavailable, StoreUnavailable
from tejido_shared.refusals import Refused

ORPHANED = timedelta(days=1)
"""A file older than this without a row will never have one: no upload takes so long."""
SCAN_SECONDS = 50
"""Less than the time to the next turn."""
SCANNED_AT_ONCE = 500
_GIVE_UP = 3
log = structlog.get_logger()


def sweep() -> int:
    """Deletes the files that no row speaks of. Returns how many."""
    deleted = 0
    keys = service.store.keys(now() - ORPHANED)
    while some := list(islice(keys, 500)):
        with read() as session:
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
    with read() as session:
        waiting = queries.to_scan(session, SCANNED_AT_ONCE)
    for attachment_id, key in waiting:
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
            log.error("attachment_unreadable", attachment=str(attachment_id), error=type(error).__name__)  # noqa: TRY400
            continue
        with tx() as session:
            told = service.scanned(session, attachment_id, key, at, infected=infected)
        if told and infected:
            log.warning("attachment_infected", attachment=str(attachment_id))
            service.store.delete(key)
        failures, done = 0, done + 1
    return done
