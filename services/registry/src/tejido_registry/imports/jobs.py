"""Imports that run in the background: a row says where each is, so that a killed worker's job goes on from its last batch."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.imports import queries, running, service
from tejido_registry.imports.reading import Entry, Reading
from tejido_registry.imports.schemas import Counts, ImportMapping, RowProblem
from tejido_registry.models import ImportJob, ImportProblem
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.refusals import Refused

MOST_ATTEMPTS = 5
"""How often a job is begun again without getting a batch further."""
OVER = ("done", "failed", "cancelled")


def enter(
    session: Session,
    source: str,
    mapping: ImportMapping,
    file_key: UUID,
    file_sha256: str,
    author: str,
    *,
    dry_run: bool,
    all_or_nothing: bool,
) -> ImportJob:
    job = ImportJob(
        source=source,
        mapping=mapping.model_dump(),
        file_key=file_key,
        file_sha256=file_sha256,
        language=i18n.language.get(),
        status="waiting",
        dry_run=dry_run,
        all_or_nothing=all_or_nothing,
        error_params={},
        created_by=author,
        created_at=now(),
    )
    session.add(job)
    session.flush()
    return job


def cancel(session: Session, job: ImportJob) -> None:
    """What was written stays. Cancelled twice is cancelled. Raises `Refused` if it is over."""
    if job.status in ("done", "failed"):
        raise Refused("import_over")
    if job.status != "cancelled":
        _end(job, "cancelled")
    session.flush()


def begin(session: Session) -> ImportJob | None:
    """The job to go on with, if there is one. One that ends every worker that tries it is given up."""
    job_id = queries.next_job(session)
    if job_id is None:
        return None
    job = queries.locked_job(session, job_id)
    if job.status in OVER:
        return None
    job.attempts += 1
    if job.attempts > MOST_ATTEMPTS:
        fail(job, "import_stuck")
    session.flush()
    return job


def read(session: Session, job_id: UUID, reading: Reading) -> int | None:
    """What the file says is on record, once. Returns the row to go on from; none if the job is over."""
    job = queries.locked_job(session, job_id)
    if job.status in OVER:
        return None
    if job.status == "waiting":
        job.status, job.rows = "running", reading.rows
        job.counts = running.start(reading).model_dump()
        _add_problems(session, job, sorted(reading.problems, key=lambda one: (one.row, one.severity)))
        session.flush()
    return job.next_row


def step(session: Session, job_id: UUID, batch: list[Entry]) -> bool:
    """Writes the next rows and says so, both or neither. False if the job is over."""
    job = queries.locked_job(session, job_id)
    if job.status in OVER:
        return False
    written = service.write(session, job.source, batch, job.created_by, dry_run=job.dry_run)
    _add(session, job, written)
    job.next_row, job.attempts = batch[-1].row + 1, 0
    session.flush()
    return True


def step_whole(session: Session, job_id: UUID, entries: list[Entry]) -> None:
    """All or nothing: all that is left in this one transaction. Nothing is written when a row is rejected."""
    job = queries.locked_job(session, job_id)
    if job.status in OVER:
        return
    looked = [
        service.write(session, job.source, batch, job.created_by, dry_run=True) for batch in running.batches(entries)
    ]
    if job.counts["rejected"] or any(one.rejected for one in looked) or job.dry_run:
        for one in looked:
            _add(session, job, one)
    else:
        for batch in running.batches(entries):
            written = service.write(session, job.source, batch, job.created_by)
            if written.rejected:
                raise Refused("import_overtaken")
            _add(session, job, written)
    session.flush()


def finish(session: Session, job_id: UUID) -> None:
    job = queries.locked_job(session, job_id)
    if job.status in OVER:
        return
    if applied(job, done=True):
        service.save_mapping(session, job.source, ImportMapping.model_validate(job.mapping), job.created_by)
    _end(job, "done")
    session.flush()


def fail(job: ImportJob, code: str, **params: Any) -> None:
    job.error, job.error_params = code, params
    _end(job, "failed")


def applied(job: ImportJob, *, done: bool | None = None) -> bool:
    """Whether the register is, or may be, another one because of it."""
    if job.dry_run or (job.all_or_nothing and Counts.model_validate(job.counts).rejected):
        return False
    return job.status == "done" if done is None else done


def with_files(session: Session) -> list[tuple[UUID, UUID]]:
    """Jobs that are over, and the keys of their files, which nobody needs any more."""
    query = sa.select(ImportJob.id, ImportJob.file_key).where(
        ImportJob.status.in_(OVER), ImportJob.file_key.is_not(None)
    )
    return [(job_id, key) for job_id, key in session.execute(query.limit(100)) if key]


def forget_file(session: Session, job_id: UUID) -> None:
    queries.locked_job(session, job_id).file_key = None


def _end(job: ImportJob, status: str) -> None:
    job.status, job.finished_at = status, now()


def _add(session: Session, job: ImportJob, written: service.Written) -> None:
    job.counts = running.add(Counts.model_validate(job.counts), written).model_dump()
    _add_problems(session, job, written.problems)


def _add_problems(session: Session, job: ImportJob, problems: list[RowProblem]) -> None:
    if not problems:
        return
    last = session.scalar(sa.select(sa.func.max(ImportProblem.position)).where(ImportProblem.job_id == job.id)) or 0
    rows = [one.model_dump() | {"job_id": job.id, "position": last + n} for n, one in enumerate(problems, 1)]
    session.execute(sa.insert(ImportProblem), rows)
