"""Audit, confidential identity and retention over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from tejido_requests.audit import chain, confidentiality, queries, retention, schemas, service, views
from tejido_requests.auth import Officer
from tejido_requests.db import read, tx
from tejido_requests.desk.routes import acted, found
from tejido_requests.desk.views import petitioner_of
from tejido_requests.models import AccessRecord, HistoryEntry
from tejido_requests.search.queries import one
from tejido_requests.search.schemas import RequestSummary
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, PageQuery, page_of

router = APIRouter(prefix="/v1")

Auditor = Annotated[Principal, Depends(require(Role.AUDITOR, Role.HEAD))]
Administrator = Annotated[Principal, Depends(require(Role.ADMINISTRATOR))]
LARGEST_BATCH = 1000


@router.get("/audit/head", tags=["audit"], summary="The end of the audit chain")
def read_head(_: Auditor) -> schemas.HeadOut:
    """Write it down elsewhere, or publish it: `audit verify --head` then proves that nothing before it was taken away."""
    with read() as session:
        end = chain.head(session)
    if end is None:
        return schemas.HeadOut(sequence=0, hash=chain.GENESIS.hex(), sealed_until=None)
    return schemas.HeadOut(sequence=end.sequence, hash=end.hash.hex(), sealed_until=end.sealed_until)


@router.get("/service-requests/{request_id}/audit", tags=["audit"], summary="A request's whole history")
def read_audit(request_id: UUID, asked: Annotated[PageQuery, Query()], caller: Auditor) -> Page[schemas.AuditEntryOut]:
    """With authors, reasons, evidence and links. That somebody read it is recorded if the request is confidential."""
    with tx() as session:
        request = found(one(session, caller, request_id))
        if request.confidential:
            service.record_access(session, [request.id], caller.subject, "history")
        return page_of(
            session,
            queries.whole_history(request.id),
            asked,
            views.audit_entry,
            sort="at",
            orders={"at": HistoryEntry.at},
            key=HistoryEntry.id,
        )


@router.post(
    "/service-requests/{request_id}/identity", tags=["audit"], summary="See who asks in a confidential request"
)
def see_identity(request_id: UUID, body: schemas.WhyIn, caller: Officer) -> schemas.IdentityOut:
    """Each time is recorded, before anything is shown. No Idempotency-Key: a remembered answer would be a look without a record."""
    with tx() as session:
        request = found(one(session, caller, request_id))
        confidentiality.see_identity(session, request, caller, body.reason)
        return schemas.IdentityOut(petitioner=petitioner_of(request), organization_id=request.organization_id)


@router.get(
    "/service-requests/{request_id}/accesses", tags=["audit"], summary="Who looked at what is confidential of a request"
)
def list_accesses(request_id: UUID, asked: Annotated[PageQuery, Query()], caller: Auditor) -> Page[schemas.AccessOut]:
    with read() as session:
        request = found(one(session, caller, request_id))
        return page_of(
            session,
            queries.accesses(request.id),
            asked,
            schemas.AccessOut.model_validate,
            sort="at",
            orders={"at": AccessRecord.at},
            key=AccessRecord.id,
        )


@router.get("/accesses", tags=["audit"], summary="Who looked at what is confidential, or took personal data out")
def list_all_accesses(
    asked: Annotated[schemas.AccessQuery, Query()], _: Annotated[Principal, Depends(require(Role.AUDITOR))]
) -> Page[schemas.AccessListed]:
    """Of all requests and offices."""
    with read() as session:
        return page_of(
            session,
            queries.all_accesses(asked),
            asked,
            views.access_listed,
            sort=asked.sort,
            orders={"at": AccessRecord.recorded_at},  # the same instant, and indexed
            key=AccessRecord.id,
        )


@router.post(
    "/service-requests/{request_id}/confidentiality", tags=["audit"], summary="Hide who asks, or show it again"
)
def change_confidentiality(
    request_id: UUID, body: schemas.ConfidentialityIn, once: IdempotencyKey, caller: Officer
) -> RequestSummary:
    """History tells who changed it and when; only the head of the office may show it again."""
    return acted(
        once,
        caller,
        request_id,
        lambda s, request: confidentiality.change(
            s, request, caller, confidential=body.confidential, reason=body.reason
        ),
    )


@router.post("/service-requests/{request_id}/hold", tags=["retention"], summary="Place or lift a legal hold")
def hold(request_id: UUID, body: schemas.HoldIn, once: IdempotencyKey, caller: Auditor) -> RequestSummary:
    """While it holds, retention does not erase the request's personal data."""
    return acted(
        once,
        caller,
        request_id,
        lambda s, request: retention.hold(s, request, caller.subject, held=body.hold, reason=body.reason),
    )


@router.get("/retention/due", tags=["retention"], summary="What retention would erase now")
def read_due(
    _: Administrator, limit: Annotated[int, Query(ge=1, le=200, description="How many numbers to name")] = 50
) -> schemas.RetentionDueOut:
    with read() as session:
        return views.due(retention.due(session, limit))


@router.post("/retention/batches", tags=["retention"], summary="Erase personal data that is past its time")
def erase(
    body: schemas.WhyIn,
    once: IdempotencyKey,
    caller: Administrator,
    limit: Annotated[int, Query(ge=1, le=LARGEST_BATCH, description="The most requests to erase")] = retention.BATCH,
) -> schemas.BatchOut:
    """The oldest first. It cannot be undone. `due` says how many are left for another batch."""

    files: list[UUID] = []

    def run() -> schemas.BatchOut:
        batch = new_id()
        erased = retention.erase(session, batch, caller.subject, body.reason, limit=limit)
        files.extend(erased.files)
        return schemas.BatchOut(batch=batch, erased=erased.requests, due=retention.due(session, 1).count)

    with tx() as session:
        done = once.run(session, schemas.BatchOut, run)
    retention.delete_files(files)
    return done
