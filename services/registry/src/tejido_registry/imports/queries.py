"""What imports look for."""

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from tejido_registry.imports.schemas import ImportJobQuery, ProblemQuery
from tejido_registry.models import ExternalReference, ImportJob, ImportMappingSaved, ImportProblem, Organization

SORTABLE = {"created_at": ImportJob.created_at}
PROBLEMS_SORTABLE = {"row": ImportProblem.row}


def references(session: Session, source: str, keys: Collection[str]) -> dict[str, tuple[UUID, str]]:
    """Of a source's keys those that are known: the organization, and the fingerprint of what was last imported."""
    reference = ExternalReference
    query = sa.select(reference.key, reference.organization_id, reference.fingerprint)
    found = session.execute(query.where(reference.source == source, reference.key.in_(keys)))
    return {key: (organization_id, fingerprint) for key, organization_id, fingerprint in found}


def organizations(session: Session, ids: Collection[UUID], *, lock: bool) -> dict[UUID, Organization]:
    query = sa.select(Organization).where(Organization.id.in_(ids)).order_by(Organization.id)
    query = query.options(selectinload(Organization.contacts))
    return {one.id: one for one in session.scalars(query.with_for_update() if lock else query)}


def job(session: Session, job_id: UUID, *, lock: bool = False) -> ImportJob | None:
    return session.get(ImportJob, job_id, with_for_update=lock or None)


def locked_job(session: Session, job_id: UUID) -> ImportJob:
    return session.get_one(ImportJob, job_id, with_for_update=True)


def jobs(asked: ImportJobQuery) -> sa.Select[ImportJob]:
    query = sa.select(ImportJob)
    return query.where(ImportJob.status == asked.status) if asked.status is not None else query


def next_job(session: Session) -> UUID | None:
    """The one to go on with: the oldest that is not over."""
    query = sa.select(ImportJob.id).where(ImportJob.status.in_(["running", "waiting"]))
    return session.scalar(query.order_by(ImportJob.created_at, ImportJob.id).limit(1))


def mappings() -> sa.Select[ImportMappingSaved]:
    return sa.select(ImportMappingSaved).order_by(ImportMappingSaved.source).limit(500)


def unfinished(session: Session, source: str, sha256: str) -> ImportJob | None:
    """A job of the same file that is not over."""
    same = (ImportJob.source == source) & (ImportJob.file_sha256 == sha256)
    query = sa.select(ImportJob).where(same, ImportJob.status.in_(["running", "waiting"]))
    return session.scalar(query.order_by(ImportJob.created_at).limit(1))


def problems_of(job_id: UUID, asked: ProblemQuery | None = None) -> sa.Select[ImportProblem]:
    query = sa.select(ImportProblem).where(ImportProblem.job_id == job_id)
    if asked is not None and asked.severity is not None:
        query = query.where(ImportProblem.severity == asked.severity)
    return query


def count_problems(session: Session, ids: Collection[UUID]) -> dict[UUID, int]:
    query = sa.select(ImportProblem.job_id, sa.func.count()).where(ImportProblem.job_id.in_(ids))
    return {row[0]: row[1] for row in session.execute(query.group_by(ImportProblem.job_id))}


def known_files(session: Session, keys: Collection[UUID]) -> set[UUID]:
    known = session.scalars(sa.select(ImportJob.file_key).where(ImportJob.file_key.in_(keys)))
    return {key for key in known if key is not None}
