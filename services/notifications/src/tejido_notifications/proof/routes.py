"""HTTP only: parse, call one use case, return the model."""

from collections.abc import Callable
from typing import Annotated, TypeVar
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Query, Response

from tejido_notifications.db import read
from tejido_notifications.models import Proof
from tejido_notifications.proof import queries, schemas, views
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.jurisdiction import Role
from tejido_shared.problems import NotFound
from tejido_shared.refusals import Refused

log = structlog.get_logger()
router = APIRouter(prefix="/v1", tags=["proofs"])

Reader = Annotated[Principal, Depends(require(Role.HEAD, Role.AUDITOR))]
WhichResult = Annotated[schemas.Result | None, Query(description="The last one of this result, not the last of all")]
Shown = TypeVar("Shown")


@router.get("/deliveries/{delivery_id}/proof", summary="What proves a legal notice, with personal data")
def read_proof(delivery_id: UUID, caller: Reader, result: WhichResult = None) -> schemas.ProofOut:
    """The last one: a message that came back has one of its delivery and one of its return. Who looks is logged."""
    return _seen(delivery_id, caller, result, views.proof_out)


@router.get(
    "/deliveries/{delivery_id}/proof.pdf",
    summary="The same as a document",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
def read_proof_document(delivery_id: UUID, caller: Reader, result: WhichResult = None) -> Response:
    """PDF/A, in the caller's language. 409 once retention erased the record. Who looks is logged."""
    content = _seen(delivery_id, caller, result, views.document)
    name = f"constancia-{delivery_id}.pdf"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/pdf", headers=headers)


@router.get("/proof-key", summary="The public keys that verify proofs")
def read_proof_keys(_: Anybody) -> schemas.ProofKeysOut:
    """With them anybody can verify a proof without this system: docs/proofs.md says how."""
    return views.keys_out()


def _seen(delivery_id: UUID, caller: Principal, result: str | None, show: Callable[[Proof], Shown]) -> Shown:
    with read() as session:
        try:
            proof = queries.newest(session, delivery_id, result)
        except ValueError:
            raise Refused("proof_unreadable") from None
    if proof is None:
        raise NotFound
    log.info("proof_seen", delivery_id=str(delivery_id), subject=caller.subject)
    return show(proof)
