"""Imports in the background: takes the oldest job on, batch by batch, and tidies up after those that are over."""

import time
from datetime import timedelta
from itertools import islice
from uuid import UUID

import structlog

from tejido_registry.db import database, tx
from tejido_registry.imports import files, jobs, queries, reading, running
from tejido_registry.imports.schemas import ImportMapping
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.files import Altered
from tejido_shared.refusals import Refused

ADVANCE, SWEEP = "registry.advance_imports", "registry.sweep_imports"
TIMETABLE = {ADVANCE: 5.0, SWEEP: 3600.0}
"""Seconds between two runs of a task."""
RUN_SECONDS = 120.0
"""After so long a job makes room for other work of the process. Reading its file again is the price, well below that."""
ORPHANED = timedelta(days=1)
log = structlog.get_logger()


def advance() -> bool:
    """Goes on with the oldest job. Returns whether there may be more to do."""
    try:
        with running.alone(database):
            return _advance()
    except Refused as refused:
        if refused.code != "import_running":
            raise
        return False


def _advance() -> bool:
    with tx() as session:
        job = jobs.begin(session)
        if job is None:
            return False
        job_id, key, whole = job.id, job.file_key, job.all_or_nothing
        mapping, over = ImportMapping.model_validate(job.mapping), job.status in jobs.OVER
    if over or key is None:
        return True
    token = i18n.language.set(job.language)
    try:
        _go_on(job_id, key, mapping, whole=whole)
    finally:
        i18n.language.reset(token)
    return True


def _go_on(job_id: UUID, key: UUID, mapping: ImportMapping, *, whole: bool) -> None:
    until = time.monotonic() + RUN_SECONDS
    try:
        found = reading.judge(files.load(key), mapping)
    except (FileNotFoundError, Altered) as error:
        log.error("import_file_unreadable", job=str(job_id), error=type(error).__name__)  # noqa: TRY400
        with tx() as session:
            jobs.fail(queries.locked_job(session, job_id), "import_file_lost")
        return
    with tx() as session:
        next_row = jobs.read(session, job_id, found)
    if next_row is None:
        return
    left = [entry for entry in found.entries if entry.row >= next_row]
    if whole:
        try:
            with tx() as session:
                jobs.step_whole(session, job_id, left)
        except Refused:
            log.info("import_overtaken", job=str(job_id))
            return
    else:
        for batch in running.batches(left):
            if not _step(job_id, batch):
                return
            if time.monotonic() > until:
                return
    with tx() as session:
        jobs.finish(session, job_id)
    log.info("import_done", job=str(job_id), rows=found.rows)


def _step(job_id: UUID, batch: list[reading.Entry]) -> bool:
    try:
        with tx() as session:
            return jobs.step(session, job_id, batch)
    except Refused:  # somebody took a number in between, which is seen now
        with tx() as session:
            return jobs.step(session, job_id, batch)


def sweep() -> int:
    """Deletes the files of jobs that are over, and those that no job speaks of. Returns how many."""
    with tx() as session:
        over = jobs.with_files(session)
    for job_id, key in over:
        files.store.delete(key)
        with tx() as session:
            jobs.forget_file(session, job_id)
    deleted = len(over)
    keys = files.store.keys(now() - ORPHANED)
    while some := list(islice(keys, 500)):
        with tx() as session:
            orphans = set(some) - queries.known_files(session, some)
        for key in orphans:
            files.store.delete(key)
        deleted += len(orphans)
    return deleted
