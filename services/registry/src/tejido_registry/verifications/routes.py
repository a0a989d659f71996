"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session

from tejido_registry import queries as organizations
from tejido_registry.db import tx
from tejido_registry.models import Organization, Verification
from tejido_registry.verifications import queries, schemas, service
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["verifications"])

Verifier = Annotated[Principal, Depends(require(Role.REGISTRAR, Role.OFFICER))]
Official = Annotated[Principal, Depends(require(*organizations.OFFICIALS))]


@router.post("/verifications", status_code=201, summary="Record that somebody looked whether its data are true")
def verify(
    organization_id: UUID, body: schemas.VerificationIn, once: IdempotencyKey, caller: Verifier
) -> schemas.VerificationOut:
    with tx() as session:

        def act() -> schemas.VerificationOut:
            organization = _found(session, caller, organization_id, lock=True)
            return _out(service.verify(session, organization, body, caller.subject))

        return once.run(session, schemas.VerificationOut, act)


@router.get("/verifications", summary="When its data were looked at, by whom, and with what result")
def list_verifications(
    organization_id: UUID, asked: Annotated[schemas.VerificationQuery, Query()], caller: Official
) -> Page[schemas.VerificationOut]:
    with tx() as session:
        _found(session, caller, organization_id)
        return page_of(
            session,
            queries.of_one(organization_id),
            asked,
            _out,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Verification.id,
        )


@router.get("/freshness", summary="How fresh its data are")
def read_freshness(organization_id: UUID, caller: Anybody) -> schemas.FreshnessOut:
    with tx() as session:
        return service.freshness(session, _found(session, caller, organization_id))


def _found(session: Session, caller: Principal | None, organization_id: UUID, *, lock: bool = False) -> Organization:
    organization = organizations.one(session, caller, organization_id, lock=lock)
    if organization is None:
        raise NotFound
    if lock and organization.merged_into is not None:
        raise Refused("organization_merged")
    return organization


def _out(verification: Verification) -> schemas.VerificationOut:
    return schemas.VerificationOut(
        **{name: getattr(verification, name) for name in schemas.VerificationOut.model_fields}
    )
