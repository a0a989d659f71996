"""HTTP only: parse, call one use case, return the model."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session

from tejido_registry import queries as organizations
from tejido_registry.db import tx
from tejido_registry.mandates import queries, schemas, service, views
from tejido_registry.models import Mandate, Organization
from tejido_registry.standing.service import today
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["mandates"])

Registrar = Annotated[Principal, Depends(require(Role.REGISTRAR))]


@router.get("/mandates", summary="Who holds and held office")
def list_mandates(
    organization_id: UUID, asked: Annotated[schemas.MandateQuery, Query()], caller: Anybody
) -> Page[schemas.MandateOut]:
    """The public sees offices and dates; the persons, officials and the organization's own representative, which is written down."""
    with tx() as session:
        organization = _found(session, caller, organization_id)
        page = page_of(
            session,
            queries.matching(organization_id, asked),
            asked,
            _itself,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Mandate.id,
        )
        items = views.shown(session, caller, organization, page.items)
        return Page(items=items, next=page.next, previous=page.previous)


@router.post("/mandates", status_code=201, summary="Record that somebody took an office")
def record_mandate(
    organization_id: UUID, body: schemas.MandateIn, once: IdempotencyKey, caller: Registrar
) -> schemas.MandateOut:
    with tx() as session:

        def act() -> schemas.MandateOut:
            organization = _found(session, caller, organization_id, lock=True)
            mandate = service.record_one(session, organization, body, caller.subject)
            return views.shown(session, caller, organization, [mandate])[0]

        return once.run(session, schemas.MandateOut, act)


@router.post("/boards", status_code=201, summary="Record a whole board that was elected")
def record_board(
    organization_id: UUID, body: schemas.BoardIn, once: IdempotencyKey, caller: Registrar
) -> schemas.BoardOut:
    """Whoever holds an office in the organs it names leaves the day before it begins. 409 if a later board is recorded."""
    with tx() as session:

        def act() -> schemas.BoardOut:
            organization = _found(session, caller, organization_id, lock=True)
            mandates = service.elect(session, organization, body, caller.subject)
            return schemas.BoardOut(
                mandate_status=organization.mandate_status,
                mandate_until=organization.mandate_until,
                mandates=views.shown(session, caller, organization, mandates),
            )

        return once.run(session, schemas.BoardOut, act)


@router.post("/mandates/{mandate_id}/end", summary="Record that a mandate ended before its term")
def end_mandate(
    organization_id: UUID, mandate_id: UUID, body: schemas.EndIn, once: IdempotencyKey, caller: Registrar
) -> schemas.MandateOut:
    """With `error`, that it was recorded by mistake and never was."""
    with tx() as session:

        def act() -> schemas.MandateOut:
            organization = _found(session, caller, organization_id, lock=True)
            mandate = queries.one(session, organization_id, mandate_id)
            if mandate is None:
                raise NotFound
            service.end(session, organization, mandate, body, caller.subject)
            return views.shown(session, caller, organization, [mandate])[0]

        return once.run(session, schemas.MandateOut, act)


@router.get("/mandate-terms", summary="The term that the law gives its mandates")
def read_terms(
    organization_id: UUID,
    caller: Anybody,
    on: Annotated[
        date | None, Query(ge=date(2000, 1, 1), le=date(2100, 12, 31), description="Today if left out")
    ] = None,
) -> schemas.TermsOut:
    with tx() as session:
        organization = _found(session, caller, organization_id)
        return views.terms_out(organization.organization_type, on or today())


def _found(session: Session, caller: Principal | None, organization_id: UUID, *, lock: bool = False) -> Organization:
    organization = organizations.one(session, caller, organization_id, lock=lock)
    if organization is None:
        raise NotFound
    if lock and organization.merged_into is not None:
        raise Refused("organization_merged")
    return organization


def _itself(mandate: Mandate) -> Mandate:
    return mandate
