"""Imports over HTTP: at once for what is short, as a job for what is long. Who asks is known before the body is read."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tejido_registry.db import database, tx
from tejido_registry.imports import files, guessing, jobs, queries, reading, running, schemas, service, tables, views
from tejido_registry.models import ImportJob, ImportMappingSaved, ImportProblem
from tejido_registry.settings import jurisdiction, settings
from tejido_shared.auth import Principal, require
from tejido_shared.fields import Line, Strict
from tejido_shared.files import StoreUnavailable
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound, Problem
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1", tags=["imports"])
Registrar = Annotated[Principal, Depends(require(Role.REGISTRAR))]
In = TypeVar("In", bound=BaseModel)
_FILE = "CSV (`,`, `;` or tab; UTF-8 or Latin-1) or XLSX (first sheet)"
_MAPPING = (
    'JSON: how their columns become our fields, e.g. {"columns": {"name": "biblioteca"}, '
    '"constants": {"organization_type": "civil_association"}, "key": ["nro_registro"]}; the source\'s last one if left out'
)
MappingText = Annotated[str, Field(min_length=2, max_length=20_000, description=_MAPPING)]


class ImportIn(Strict):
    """A file and how to read it."""

    file: UploadFile = Field(description=_FILE)
    source: schemas.Source
    mapping: MappingText | None = None
    dry_run: bool = Field(False, description="Only say what the import would do")
    all_or_nothing: bool = Field(False, description="Import nothing if a row is rejected")


class GuessIn(Strict):
    """A file of which nothing is known yet."""

    file: UploadFile = Field(description=_FILE)
    source: Line | None = Field(None, description="Whose last mapping to look for")


def _form(shape: type[In]) -> Callable[[Request], AsyncIterator[In]]:
    """A dependency that reads one multipart form and closes its file at the end.

    FastAPI itself would read it before it asks who calls: then anybody could fill the disk.
    """

    async def read_form(request: Request) -> AsyncIterator[In]:
        try:
            async with request.form(max_files=1, max_fields=10) as fields:
                try:
                    given = shape.model_validate(dict(fields))
                except ValidationError as invalid:
                    raise _invalid(invalid, "body") from None
                yield given
        except ClientDisconnect:
            raise HTTPException(400) from None

    return read_form


def _invalid(invalid: ValidationError, *place: str) -> RequestValidationError:
    return RequestValidationError(
        [{**error, "loc": (*place, *error["loc"])} for error in invalid.errors(include_input=False)]
    )


def _documented(shape: type[BaseModel]) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": shape.model_json_schema()}}}
    }


@router.post("/imports", summary="Import a register from a CSV or XLSX file", openapi_extra=_documented(ImportIn))
def import_register(caller: Registrar, given: Annotated[ImportIn, Depends(_form(ImportIn))]) -> schemas.ImportOut:
    """The good rows are imported and the bad ones reported. Repeating it changes nothing, so it needs no Idempotency-Key."""
    mapping = _mapping(given)
    found = reading.read(given.file.file.read(), mapping, settings().import_rows)
    return running.run(
        database,
        given.source,
        found,
        caller.subject,
        mapping=mapping,
        dry_run=given.dry_run,
        all_or_nothing=given.all_or_nothing,
    )


@router.post("/imports/guess", summary="What a file's columns seem to be", openapi_extra=_documented(GuessIn))
def guess_mapping(_: Registrar, given: Annotated[GuessIn, Depends(_form(GuessIn))]) -> schemas.GuessOut:
    """A mapping to start from, with what to look at. Nothing is stored."""
    saved = None
    if given.source is not None:
        with tx() as session, suppress(Refused, ValidationError):
            saved = service.saved_mapping(session, given.source)
    try:
        return guessing.guess(jurisdiction(), given.file.file.read(), saved)
    except tables.Unreadable as error:
        raise Refused(fields=[("file", error.code)], **error.params) from None


@router.get("/import-mappings", summary="How sources were read the last time")
def list_mappings(_: Registrar) -> list[schemas.SavedMappingOut]:
    with tx() as session:
        return [_saved(one) for one in session.scalars(queries.mappings())]


@router.post(
    "/import-jobs",
    status_code=201,
    summary="Import a long register in the background",
    openapi_extra=_documented(ImportIn),
)
def start_job(
    caller: Registrar, given: Annotated[ImportIn, Depends(_form(ImportIn))], response: Response
) -> schemas.ImportJobOut:
    """What is wrong with the whole file is said at once. The same file sent again while it runs is the same job (200)."""
    mapping = _mapping(given)
    most = settings().import_rows if given.all_or_nothing else settings().import_job_rows
    table = reading.open_table(given.file.file.read(), mapping, most)
    digest = files.fingerprint(table)
    with tx() as session:
        same = queries.unfinished(session, given.source, digest)
        if same is not None:
            response.status_code = 200
            return views.job(session, same)
    try:
        key = files.keep(table)
    except StoreUnavailable:
        raise Problem(503, "files_unavailable", headers={"Retry-After": "30"}) from None
    with tx() as session:
        job = jobs.enter(
            session,
            given.source,
            mapping,
            key,
            digest,
            caller.subject,
            dry_run=given.dry_run,
            all_or_nothing=given.all_or_nothing,
        )
        return views.job(session, job)


@router.get("/import-jobs", summary="Imports in the background")
def list_jobs(asked: Annotated[schemas.ImportJobQuery, Query()], _: Registrar) -> Page[schemas.ImportJobOut]:
    with tx() as session:
        page = page_of(
            session,
            queries.jobs(asked),
            asked,
            lambda job: job,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=ImportJob.id,
        )
        shown = views.jobs_of(session, page.items)
        return Page(items=shown, next=page.next, previous=page.previous)


@router.get("/import-jobs/{job_id}", summary="How far an import is, and what it found")
def read_job(job_id: UUID, _: Registrar) -> schemas.ImportJobOut:
    with tx() as session:
        return views.job(session, _found(queries.job(session, job_id)))


@router.post("/import-jobs/{job_id}/cancellation", summary="Stop an import")
def cancel_job(job_id: UUID, _: Registrar) -> schemas.ImportJobOut:
    """What was written stays; sent again, the file goes on from there. Repeating it changes nothing. 409 when it is over."""
    with tx() as session:
        job = _found(queries.job(session, job_id, lock=True))
        jobs.cancel(session, job)
        return views.job(session, job)


@router.get("/import-jobs/{job_id}/problems", summary="What is wrong with the rows")
def list_problems(
    job_id: UUID, asked: Annotated[schemas.ProblemQuery, Query()], _: Registrar
) -> Page[schemas.RowProblem]:
    with tx() as session:
        _found(queries.job(session, job_id))
        return page_of(
            session,
            queries.problems_of(job_id, asked),
            asked,
            views.problem,
            sort=asked.sort,
            orders=queries.PROBLEMS_SORTABLE,
            key=ImportProblem.position,
        )


@router.get(
    "/import-jobs/{job_id}/problems.csv",
    summary="The same for a spreadsheet",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
)
def download_problems(job_id: UUID, _: Registrar) -> StreamingResponse:
    with tx() as session:
        _found(queries.job(session, job_id))

    def content() -> Iterator[bytes]:
        with tx() as session:
            yield from views.as_csv(session, job_id)

    headers = {"Content-Disposition": f'attachment; filename="{job_id}.csv"'}
    return StreamingResponse(content(), media_type="text/csv; charset=utf-8", headers=headers)


def _mapping(given: ImportIn) -> schemas.ImportMapping:
    """The one that was given, else the one the source was last read by."""
    if given.mapping is None:
        try:
            with tx() as session:
                return service.saved_mapping(session, given.source)
        except ValidationError:  # of a version that knew other fields
            raise Refused("mapping_unknown", "mapping", source=given.source) from None
    try:
        return schemas.ImportMapping.model_validate_json(given.mapping)
    except ValidationError as invalid:
        raise _invalid(invalid, "body", "mapping") from None


def _saved(one: ImportMappingSaved) -> schemas.SavedMappingOut:
    return schemas.SavedMappingOut(
        source=one.source,
        mapping=one.mapping,
        saved_by=one.saved_by,
        saved_at=one.saved_at,
    )


def _found(job: ImportJob | None) -> ImportJob:
    if job is None:
        raise NotFound
    return job
