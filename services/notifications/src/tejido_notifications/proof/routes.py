"""HTTP only: parse, call one use case, return the model."""

from collections.abc import Callable
from typing import Annotated, TypeVar
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from tejido_notifications.db import read, tx
from tejido_notifications.models import Delivery, Proof
from tejido_notifications.proof import access, queries, schemas, views
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.jurisdiction import Role
from tejido_shared.problems import NotFound
from tejido_shared.refusals import Refused

log = structlog.get_logger()
router = APIRouter(prefix="/v1", tags=["proofs"])

Reader = Annotated[Principal, Depends(require(Role.HEAD, Role.AUDITOR))]
Head = Annotated[Principal, Depends(require(Role.HEAD))]
WhichResult = Annotated[schemas.Result | None, Query(description="The last one of this result, not the last of all")]
Shown = TypeVar("Shown")


@router.get("/deliveries/{delivery_id}/proof", summary="What proves a legal notice, with personal data")
def read_proof(delivery_id: UUID, caller: Reader, result: WhichResult = None) -> schemas.ProofOut:
    """The last one: a message that came back has one of its delivery and one of its return. Who looks is logged.

    A head sees those of requests of the own offices. 403 where who asks is confidential: that takes a reason (POST).
    """
    return _seen(delivery_id, caller, result, views.proof_out)


@router.get(
    "/deliveries/{delivery_id}/proof.pdf",
    summary="The same as a document",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
def read_proof_document(delivery_id: UUID, caller: Reader, result: WhichResult = None) -> Response:
    """PDF/A, in the caller's language. 409 once retention erased the record. Who looks is logged."""
    return _pdf(delivery_id, _seen(delivery_id, caller, result, views.document))


@router.post(
    "/deliveries/{delivery_id}/proof",
    summary="The proof of what was written to a confidential petitioner, for a reason",
)
def see_proof(
    delivery_id: UUID, body: schemas.WhyIn, caller: Head, response: Response, result: WhichResult = None
) -> schemas.ProofOut:
    """For heads of the request's office; each time is recorded with the request. No Idempotency-Key: a remembered answer would be a look
    without a record."""
    response.headers["Cache-Control"] = "no-store"
    return _disclosed(delivery_id, caller, body.reason, result, views.proof_out)


@router.post(
    "/deliveries/{delivery_id}/proof.pdf",
    summary="The same as a document",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
def see_proof_document(delivery_id: UUID, body: schemas.WhyIn, caller: Head, result: WhichResult = None) -> Response:
    """PDF/A, in the caller's language. 409 once retention erased the record."""
    return _pdf(delivery_id, _disclosed(delivery_id, caller, body.reason, result, views.document))


@router.get("/proof-key", summary="The public keys that verify proofs")
def read_proof_keys(_: Anybody) -> schemas.ProofKeysOut:
    """With them anybody can verify a proof without this system: docs/proofs.md says how."""
    return views.keys_out()


def _seen(delivery_id: UUID, caller: Principal, result: str | None, show: Callable[[Proof], Shown]) -> Shown:
    with read() as session:
        proof = _proof(session, delivery_id, result)
        access.check(session, session.get_one(Delivery, delivery_id), caller)
    log.info("proof_seen", delivery_id=str(delivery_id), subject=caller.subject)
    return show(proof)


def _disclosed(
    delivery_id: UUID, caller: Principal, reason: str, result: str | None, show: Callable[[Proof], Shown]
) -> Shown:
    with tx() as session:
        proof = _proof(session, delivery_id, result)
        access.disclose(session, session.get_one(Delivery, delivery_id), caller, reason)
        return show(proof)


def _proof(session: Session, delivery_id: UUID, result: str | None) -> Proof:
    try:
        proof = queries.newest(session, delivery_id, result)
    except ValueError:
        raise Refused("proof_unreadable") from None
    if proof is None:
        raise NotFound
    return proof


def _pdf(delivery_id: UUID, content: bytes) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="constancia-{delivery_id}.pdf"'}
    return Response(content, media_type="application/pdf", headers=headers)
