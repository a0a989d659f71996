"""Documents over HTTP. Who asks is known before the body is read, and the body is never in memory."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Annotated, Any, TypeVar
from uuid import UUID

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tejido_requests.attachments import queries, schemas, service, views
from tejido_requests.audit import service as audit
from tejido_requests.auth import Officer, Reader
from tejido_requests.db import read, tx
from tejido_requests.desk.routes import found, own
from tejido_requests.models import Attachment, ServiceRequest
from tejido_requests.search import queries as requests
from tejido_requests.settings import PACKAGE, settings
from tejido_requests.tracking.routes import Code, Number, check_code
from tejido_shared import problems
from tejido_shared.auth import Anybody, Principal
from tejido_shared.files import Altered, Kept, StoreUnavailable, content_disposition
from tejido_shared.problems import NotFound, Problem
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1")
In = TypeVar("In", bound=BaseModel)
log = structlog.get_logger()


@cache
def threads() -> CapacityLimiter:
    """Threads for files: none of those that serve requests, so that a store or a scanner that hangs keeps nobody from filing."""
    return CapacityLimiter(8)


def form(shape: type[In]) -> Callable[[Request], AsyncIterator[In]]:
    """A dependency that reads one multipart form and closes its file at the end.

    FastAPI itself would read it before it asks who calls: then anybody could fill the disk.
    """

    async def read_form(request: Request) -> AsyncIterator[In]:
        try:
            async with request.form(max_files=1, max_fields=10) as fields:
                yield _shaped(shape, dict(fields))
        except ClientDisconnect:
            raise HTTPException(400) from None

    return read_form


def _shaped(shape: type[In], fields: dict[str, Any]) -> In:
    try:
        return shape.model_validate(fields)
    except ValidationError as invalid:
        raise RequestValidationError(
            [{**error, "loc": ("body", *error["loc"])} for error in invalid.errors(include_input=False)]
        ) from None


def _documented(shape: type[BaseModel]) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": shape.model_json_schema()}}}
    }


def may_attach(request_id: UUID, caller: Officer) -> str:
    """Before the body is read: whether this official may attach something to this request. Returns who it is."""
    with read() as session:
        service.admit(session, own(caller, requests.one(session, caller, request_id)), caller.subject)
    return caller.subject


def _tracked(session: Session, number: str, code: str) -> ServiceRequest:
    request = queries.request_of(session, number.strip().upper())
    check_code(request.tracking_code if request else None, code)
    return found(request)


def tracked(number: Number, _: Anybody, code: Code) -> UUID:
    """The request behind a number and its code."""
    with read() as session:
        return _tracked(session, number, code).id


def citizen_may_attach(number: Number, _: Anybody, code: Code) -> UUID:
    """Before the body is read: whether the citizen may add something. Returns the request."""
    with read() as session:
        request = _tracked(session, number, code)
        service.admit(session, request, None)
        return request.id


def _attach(
    response: Response, request_id: UUID, file: UploadFile, purpose: str, public: bool | None, author: str | None
) -> tuple[Attachment, ServiceRequest]:
    """Keeps the file, then the row. 200 instead of 201 if it was there."""
    kept = keep(file)
    try:
        with tx() as session:
            request = found(queries.locked(session, request_id))
            row = service.attach(session, request, kept, purpose, public, author)
    except (Refused, Problem):
        drop(kept.key)
        raise
    if row.key != kept.key:
        response.status_code = 200
        drop(kept.key)
    return row, request


def keep(file: UploadFile) -> Kept:
    """The file in the store, for a row that is to follow. Raises `Refused` on the field `file`, or `Problem` 503."""
    try:
        return service.store.take_in(file.file, file.filename or "", largest=settings().largest_attachment * 1_000_000)
    except StoreUnavailable:
        raise _unavailable() from None


def drop(key: UUID) -> None:
    """A file without a row; one that cannot be deleted now is swept later."""
    with suppress(StoreUnavailable):
        service.store.delete(key)


def _unavailable() -> Problem:
    return Problem(503, "files_unavailable", headers={"Retry-After": "30"})


def _given(asked: Request, row: Attachment) -> Response | None:
    """Why a document is not given out; None if it is."""
    if row.infected:
        return problems.respond(asked, 410, "attachment_infected", package=PACKAGE)
    if not service.store.may_serve(row.scanned_at):
        raise Refused("attachment_not_scanned")
    return None


async def _stream(asked: Request, row: Attachment) -> Response:
    headers = {"Content-Disposition": content_disposition(row.name), "Content-Length": str(row.size)}
    try:
        content = await run_sync(service.store.read, row.key, limiter=threads())
    except StoreUnavailable:
        raise _unavailable() from None
    except (FileNotFoundError, Altered) as error:
        log.error("attachment_unreadable", attachment=str(row.id), error=type(error).__name__)  # noqa: TRY400
        return problems.respond(asked, 503, "attachment_unreadable", package=PACKAGE)
    return StreamingResponse(_chunks(content), media_type=row.media_type, headers=headers)


async def _chunks(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await run_sync(next, content, b"", limiter=threads()):
        yield chunk


_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The document, to be saved and not shown"},
    409: {"description": "No virus scanner has seen it yet"},
    410: {"description": "A virus was found in it; it is not kept"},
    503: {"description": "It cannot be read now: the place where documents are kept is away, or the document is lost"},
}


@router.post(
    "/service-requests/{request_id}/attachments",
    status_code=201,
    tags=["attachments"],
    summary="Attach a document to a request",
    openapi_extra=_documented(schemas.AttachmentIn),
)
async def attach(
    request_id: UUID,
    author: Annotated[str, Depends(may_attach)],
    body: Annotated[schemas.AttachmentIn, Depends(form(schemas.AttachmentIn))],
    response: Response,
) -> schemas.AttachmentOut:
    """Safe to repeat: the same bytes for the same purpose are the same document, then answered with 200."""
    row, request = await run_sync(
        _attach, response, request_id, body.file, body.purpose, body.public, author, limiter=threads()
    )
    return views.to_desk(row, confidential=request.confidential)


@router.get("/service-requests/{request_id}/attachments", tags=["attachments"], summary="The documents of a request")
def list_attachments(request_id: UUID, caller: Reader) -> list[schemas.AttachmentOut]:
    with read() as session:
        request = found(requests.one(session, caller, request_id))
        rows = queries.of_request(session, request_id, public=False)
        return [views.to_desk(row, confidential=request.confidential) for row in rows]


@router.get(
    "/service-requests/{request_id}/attachments/{attachment_id}",
    tags=["attachments"],
    summary="One document of a request",
    response_class=StreamingResponse,
    responses=_BYTES,
)
async def read_attachment(request_id: UUID, attachment_id: UUID, caller: Reader, asked: Request) -> Response:
    """Where the petitioner's identity is confidential, who opened it is recorded."""
    given = await run_in_threadpool(_for_desk, request_id, attachment_id, caller, asked)
    return given if isinstance(given, Response) else await _stream(asked, given)


def _for_desk(request_id: UUID, attachment_id: UUID, caller: Principal, asked: Request) -> Attachment | Response:
    """The document, or why it is not given out."""
    with tx() as session:
        request = found(requests.one(session, caller, request_id))
        row = queries.one(session, request_id, attachment_id, public=False)
        if row is None:
            raise NotFound
        if (refused := _given(asked, row)) is not None:
            return refused
        if request.confidential:
            audit.record_access(session, [request.id], caller.subject, "attachment", str(row.id))
    return row


@router.post(
    "/tracking/{number}/attachments",
    status_code=201,
    tags=["tracking"],
    summary="Add a document to one's own request",
    openapi_extra=_documented(schemas.CitizenAttachmentIn),
)
async def attach_as_citizen(
    request_id: Annotated[UUID, Depends(citizen_may_attach)],
    body: Annotated[schemas.CitizenAttachmentIn, Depends(form(schemas.CitizenAttachmentIn))],
    response: Response,
) -> schemas.AttachmentOut:
    """Safe to repeat: the same bytes for the same purpose are the same document, then answered with 200."""
    row, _ = await run_sync(_attach, response, request_id, body.file, body.purpose, True, None, limiter=threads())
    return views.to_citizen(row)


@router.get("/tracking/{number}/attachments", tags=["tracking"], summary="The documents the citizen may see")
def list_as_citizen(request_id: Annotated[UUID, Depends(tracked)]) -> list[schemas.AttachmentOut]:
    with read() as session:
        return [views.to_citizen(row) for row in queries.of_request(session, request_id, public=True)]


@router.get(
    "/tracking/{number}/attachments/{attachment_id}",
    tags=["tracking"],
    summary="One document the citizen may see",
    response_class=StreamingResponse,
    responses=_BYTES,
)
async def read_as_citizen(
    request_id: Annotated[UUID, Depends(tracked)], attachment_id: UUID, asked: Request
) -> Response:
    row = await run_in_threadpool(_for_citizen, request_id, attachment_id)
    return _given(asked, row) or await _stream(asked, row)


def _for_citizen(request_id: UUID, attachment_id: UUID) -> Attachment:
    with read() as session:
        row = queries.one(session, request_id, attachment_id, public=True)
    if row is None:
        raise NotFound
    return row
