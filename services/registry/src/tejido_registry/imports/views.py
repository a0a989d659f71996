"""How imports are shown."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tejido_registry.imports import jobs, queries, schemas
from tejido_registry.models import ImportJob, ImportProblem
from tejido_registry.service import PACKAGE
from tejido_shared import i18n

_COLUMNS = ("row", "severity", "field", "reason")
_BATCH = 1000


def job(session: Session, one: ImportJob) -> schemas.ImportJobOut:
    return _job(one, queries.count_problems(session, [one.id]))


def jobs_of(session: Session, some: Iterable[ImportJob]) -> list[schemas.ImportJobOut]:
    listed = list(some)
    problems = queries.count_problems(session, [one.id for one in listed])
    return [_job(one, problems) for one in listed]


def _job(one: ImportJob, problems: dict[UUID, int]) -> schemas.ImportJobOut:
    counts = schemas.Counts.model_validate(one.counts)
    return schemas.ImportJobOut(
        **{name: getattr(one, name) for name in ("id", "version", "source", "dry_run", "all_or_nothing", "rows")},
        **{name: getattr(one, name) for name in ("error", "created_by", "created_at", "finished_at")},
        status=one.status,
        counts=counts,
        done=sum(counts.model_dump().values()),
        applied=jobs.applied(one),
        problems=problems.get(one.id, 0),
        reason=i18n.text(PACKAGE, f"problem.{one.error}.detail", **one.error_params) if one.error else None,
    )


def problem(one: ImportProblem) -> schemas.RowProblem:
    return schemas.RowProblem(row=one.row, field=one.field, code=one.code, reason=one.reason, severity=one.severity)


def as_csv(session: Session, job_id: UUID) -> Iterator[bytes]:
    """The problems by row, as a spreadsheet opens them."""
    text = io.StringIO()
    writer = csv.writer(text)
    text.write("\ufeff")
    writer.writerow([i18n.text(PACKAGE, f"import.column.{name}") for name in _COLUMNS])
    query = queries.problems_of(job_id).order_by(ImportProblem.row, ImportProblem.position)
    for one in session.scalars(query.execution_options(yield_per=_BATCH)):
        severity = i18n.text(PACKAGE, f"import.{one.severity}")
        writer.writerow([_harmless(cell) for cell in (one.row, severity, one.field, one.reason)])
        if text.tell() > 1 << 16:
            yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    said = text.getvalue()
    text.seek(0)
    text.truncate()
    return said.encode()


def _harmless(cell: Any) -> Any:
    """What a spreadsheet would run as a formula is shown as text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
