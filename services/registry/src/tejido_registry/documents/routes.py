"""Documents over HTTP. Who asks is known before the body is read, and the body is never in memory."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import cache
from typing import Annotated
from uuid import UUID

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tejido_registry import queries as organizations
from tejido_registry import service as register
from tejido_registry.db import tx
from tejido_registry.documents import queries, schemas, service, views
from tejido_registry.models import Access, Document, Organization
from tejido_registry.procedure import service as procedure
from tejido_registry.procedure.queries import READERS
from tejido_registry.settings import settings
from tejido_shared import problems
from tejido_shared.auth import Principal, require
from tejido_shared.files import Altered, Kept, StoreUnavailable, content_disposition
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound, Problem
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1", tags=["documents"])
Person = Annotated[Principal, Depends(require())]
Registrar = Annotated[Principal, Depends(require(Role.REGISTRAR))]
Auditor = Annotated[Principal, Depends(require(Role.AUDITOR))]
log = structlog.get_logger()


@cache
def threads() -> CapacityLimiter:
    """Threads for files: none of those that serve requests, so that a store or a scanner that hangs holds up nobody else."""
    return CapacityLimiter(8)


async def document_form(request: Request) -> AsyncIterator[schemas.DocumentIn]:
    """Reads the multipart form and closes its file at the end.

    FastAPI itself would read it before it asks who calls: then anybody could fill the disk.
    """
    try:
        async with request.form(max_files=1, max_fields=10) as fields:
            try:
                yield schemas.DocumentIn.model_validate(dict(fields))
            except ValidationError as invalid:
                raise RequestValidationError(
                    [{**error, "loc": ("body", *error["loc"])} for error in invalid.errors(include_input=False)]
                ) from None
    except ClientDisconnect:
        raise HTTPException(400) from None


def may_hand_in(organization_id: UUID, caller: Person) -> Principal:
    """Before the body is read: whether the caller may hand in something for this organization."""
    with tx() as session:
        organization = _found(organizations.one(session, caller, organization_id))
        service.admit(session, organization, procedure.actor_of(caller, organization))
    return caller


@router.post(
    "/organizations/{organization_id}/documents",
    status_code=201,
    summary="Hand in a document",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": schemas.DocumentIn.model_json_schema()}},
        }
    },
)
async def hand_in(
    organization_id: UUID,
    caller: Annotated[Principal, Depends(may_hand_in)],
    body: Annotated[schemas.DocumentIn, Depends(document_form)],
    response: Response,
) -> schemas.DocumentOut:
    """Once: it serves every procedure until it expires. Safe to repeat: the same bytes of the same type are answered with 200."""
    return await run_sync(_hand_in, response, organization_id, caller, body, limiter=threads())


def _hand_in(
    response: Response, organization_id: UUID, caller: Principal, body: schemas.DocumentIn
) -> schemas.DocumentOut:
    kind = service.kind_of(body.document_type)
    dates = service.dated(kind, body.issued_on, body.expires_on)
    kept = _keep(body)
    try:
        with tx() as session:
            organization = _found(organizations.one(session, caller, organization_id, lock=True))
            by = procedure.actor_of(caller, organization)
            document, new = service.hand_in(session, organization, kept, kind, dates, by, caller.subject)
            if new:
                procedure.answered(session, organization, {f"document:{kind.code}"}, by, caller.subject)
            shown = _shown(document, caller)
    except (Refused, Problem):
        _drop(kept.key)
        raise
    if not new:
        response.status_code = 200
        _drop(kept.key)
    return shown


@router.get("/organizations/{organization_id}/documents", summary="The documents of an organization, the newest first")
def list_documents(organization_id: UUID, caller: Person) -> list[schemas.DocumentOut]:
    with tx() as session:
        _readable(session, caller, organization_id)
        return [_shown(one, caller) for one in queries.of_organization(session, organization_id)]


@router.get(
    "/organizations/{organization_id}/documents/{document_id}",
    summary="The content of a document; who saw it is recorded",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/octet-stream": {}}, "description": "To be saved and not shown"},
        409: {"description": "No virus scanner has seen it yet"},
        503: {"description": "It cannot be read now: the place where documents are kept is away, or it is lost"},
    },
)
async def read_document(organization_id: UUID, document_id: UUID, caller: Person, asked: Request) -> Response:
    document = await run_in_threadpool(_seen, organization_id, document_id, caller)
    headers = {
        "Content-Disposition": content_disposition(document.file_name),
        "Content-Length": str(document.size),
    }
    try:
        content = await run_sync(service.store.read, document.file_key, limiter=threads())
    except StoreUnavailable:
        raise _unavailable() from None
    except (FileNotFoundError, Altered) as error:
        log.error("document_unreadable", document=str(document.id), error=type(error).__name__)  # noqa: TRY400
        return problems.respond(asked, 503, "document_unreadable", package=service.PACKAGE)
    return StreamingResponse(_chunks(content), media_type=document.media_type, headers=headers)


def _seen(organization_id: UUID, document_id: UUID, caller: Principal) -> Document:
    with tx() as session:
        _readable(session, caller, organization_id)
        document = queries.one(session, organization_id, document_id)
        if document is None:
            raise NotFound
        if not service.store.may_serve(document.scanned_at):
            raise Refused("document_not_scanned")
        service.record_access(session, document, caller.subject)
    return document


async def _chunks(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await run_sync(next, content, b"", limiter=threads()):
        yield chunk


@router.post("/organizations/{organization_id}/documents/{document_id}/verify", summary="It is good")
def verify_document(
    organization_id: UUID, document_id: UUID, body: schemas.JudgedIn, once: IdempotencyKey, caller: Registrar
) -> schemas.DocumentOut:
    with tx() as session:

        def act() -> schemas.DocumentOut:
            organization, document = _both(session, caller, organization_id, document_id)
            service.verify(session, organization, document, caller.subject, body.issued_on, body.expires_on)
            return _shown(document, caller)

        return once.run(session, schemas.DocumentOut, act)


@router.post("/organizations/{organization_id}/documents/{document_id}/refuse", summary="It does not serve, and why")
def refuse_document(
    organization_id: UUID, document_id: UUID, body: schemas.RefusedIn, once: IdempotencyKey, caller: Registrar
) -> schemas.DocumentOut:
    with tx() as session:

        def act() -> schemas.DocumentOut:
            organization, document = _both(session, caller, organization_id, document_id)
            service.refuse(session, organization, document, caller.subject, body.reason)
            return _shown(document, caller)

        return once.run(session, schemas.DocumentOut, act)


@router.get("/organizations/{organization_id}/accesses", summary="Who saw documents and persons of an organization")
def list_accesses(
    organization_id: UUID, asked: Annotated[schemas.AccessQuery, Query()], caller: Auditor
) -> Page[schemas.AccessOut]:
    with tx() as session:
        _found(organizations.one(session, caller, organization_id))
        return page_of(
            session,
            queries.accesses(organization_id),
            asked,
            lambda one: schemas.AccessOut.model_validate(one, from_attributes=True),
            sort=asked.sort,
            orders=queries.ACCESS_SORTABLE,
            key=Access.id,
        )


def _readable(session: Session, caller: Principal, organization_id: UUID) -> Organization:
    """For those who keep or audit the register, and whoever acts for the organization."""
    organization = _found(organizations.one(session, caller, organization_id))
    if not caller.has(*READERS) and not organizations.acts_for(caller, organization):
        raise Problem(403, "forbidden")
    return organization


def _both(
    session: Session, caller: Principal, organization_id: UUID, document_id: UUID
) -> tuple[Organization, Document]:
    organization = _found(organizations.one(session, caller, organization_id, lock=True))
    document = queries.one(session, organization_id, document_id, lock=True)
    if document is None:
        raise NotFound
    return organization, document


def _found(organization: Organization | None) -> Organization:
    if organization is None:
        raise NotFound
    return organization


def _shown(document: Document, caller: Principal) -> schemas.DocumentOut:
    return views.shown(document, register.today(), official=caller.has(*READERS))


def _keep(body: schemas.DocumentIn) -> Kept:
    try:
        return service.store.take_in(
            body.file.file, body.file.filename or "", largest=settings().largest_document * 1_000_000
        )
    except StoreUnavailable:
        raise _unavailable() from None


def _drop(key: UUID) -> None:
    """A file without a row; one that cannot be deleted now is swept later."""
    with suppress(StoreUnavailable):
        service.store.delete(key)


def _unavailable() -> Problem:
    return Problem(503, "files_unavailable", headers={"Retry-After": "30"})
