"""The procedure over HTTP: parse, call one use case, return the model."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.orm import Session

from tejido_registry import queries as organizations
from tejido_registry import service as register
from tejido_registry.db import tx
from tejido_registry.models import Application, Organization
from tejido_registry.procedure import queries, schemas, service, views
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey, Once
from tejido_shared.jurisdiction.register import Actor
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1", tags=["procedure"])
Person = Annotated[Principal, Depends(require())]


@router.post("/organizations/{organization_id}/applications", status_code=201, summary="File an application")
def submit_application(
    organization_id: UUID, body: schemas.ApplicationIn, once: IdempotencyKey, caller: Person
) -> schemas.ApplicationOut:
    """Whoever acts for the organization files it on line; a registrar on its behalf, at a counter. It gets a number and a term."""
    with tx() as session:

        def act() -> schemas.ApplicationOut:
            organization = _organization(session, caller, organization_id)
            by = service.actor_of(
                caller, organization, "submitted", before="draft" if body.kind == "annual_filing" else None
            )
            application = service.submit(
                session,
                organization,
                body.kind,
                by,
                caller.subject,
                consent=body.consent,
                period=body.period,
                note=body.note,
            )
            return views.whole(session, application, organization, caller)

        return once.run(session, schemas.ApplicationOut, act)


@router.get("/applications", summary="The queue; for whoever acts for an organization, its own")
def list_applications(
    asked: Annotated[schemas.ApplicationQuery, Query()], caller: Person
) -> Page[schemas.ApplicationSummary]:
    with tx() as session:
        found: Page[Application] = page_of(
            session,
            queries.matching(caller, asked, register.today()),
            asked,
            lambda one: one,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Application.id,
        )
        items = views.Listed(session, caller).all(found.items)
    return Page(items=items, next=found.next, previous=found.previous)


@router.get("/applications/{application_id}", summary="One application, with its defects and its term")
def read_application(application_id: UUID, caller: Person) -> schemas.ApplicationOut:
    with tx() as session:
        application = _application(session, caller, application_id)
        organization = session.get_one(Organization, application.organization_id)
        return views.whole(session, application, organization, caller)


@router.post("/applications/{application_id}/take", summary="Begin to review it, or take it over from a colleague")
def take_application(application_id: UUID, once: IdempotencyKey, caller: Person) -> schemas.ApplicationOut:
    def act(session: Session, organization: Organization, application: Application, by: Actor) -> None:
        service.take(session, organization, application, by, caller.subject)

    return _step(application_id, once, caller, "in_review", act)


@router.post("/applications/{application_id}/ask-correction", summary="Ask the organization to correct items")
def ask_correction(
    application_id: UUID, body: schemas.CorrectionAskedIn, once: IdempotencyKey, caller: Person
) -> schemas.ApplicationOut:
    """Until it does, nobody but the register changes anything else. The term to decide rests meanwhile."""

    def act(session: Session, organization: Organization, application: Application, by: Actor) -> None:
        defects = [(one.item, one.reason) for one in body.items]
        service.advance(session, organization, application, "needs_correction", by, caller.subject, defects=defects)

    return _step(application_id, once, caller, "needs_correction", act)


@router.post("/applications/{application_id}/correct", summary="Hand it in again")
def hand_in_again(
    application_id: UUID, body: schemas.CorrectedIn, once: IdempotencyKey, caller: Person
) -> schemas.ApplicationOut:
    """Correcting the last item does so by itself; what was not corrected needs a note."""

    def act(session: Session, organization: Organization, application: Application, by: Actor) -> None:
        service.resubmit(session, organization, application, by, caller.subject, body.note)

    return _step(application_id, once, caller, "in_review", act)


@router.post("/applications/{application_id}/accept", summary="Register the organization, or accept its filing")
def accept_application(
    application_id: UUID, body: schemas.DecisionIn, once: IdempotencyKey, caller: Person
) -> schemas.ApplicationOut:
    """By another official than the one who entered it."""
    return _decide(application_id, once, caller, "registered", body.reasons)


@router.post("/applications/{application_id}/reject", summary="Reject it, with reasons")
def reject_application(
    application_id: UUID, body: schemas.ReasonsIn, once: IdempotencyKey, caller: Person
) -> schemas.ApplicationOut:
    return _decide(application_id, once, caller, "rejected", body.reasons)


@router.post("/applications/{application_id}/withdraw", summary="The organization withdraws it")
def withdraw_application(
    application_id: UUID, body: schemas.DecisionIn, once: IdempotencyKey, caller: Person
) -> schemas.ApplicationOut:
    return _decide(application_id, once, caller, "withdrawn", body.reasons)


def _decide(
    application_id: UUID, once: Once, caller: Principal, after: str, reasons: str | None
) -> schemas.ApplicationOut:
    def act(session: Session, organization: Organization, application: Application, by: Actor) -> None:
        service.advance(session, organization, application, after, by, caller.subject, reasons=reasons)

    return _step(application_id, once, caller, after, act)


def _step(
    application_id: UUID,
    once: Once,
    caller: Principal,
    to: str,
    step: Callable[[Session, Organization, Application, Actor], None],
) -> schemas.ApplicationOut:
    """Takes a step of an application that the caller may see, once, with the organization and it locked."""
    with tx() as session:

        def act() -> schemas.ApplicationOut:
            application = _application(session, caller, application_id)
            organization = queries.locked(session, application)
            by = service.actor_of(caller, organization, to, before=application.status)
            step(session, organization, application, by)
            return views.whole(session, application, organization, caller)

        return once.run(session, schemas.ApplicationOut, act)


def _application(session: Session, caller: Principal, application_id: UUID) -> Application:
    application = queries.one(session, caller, application_id)
    if application is None:
        raise NotFound
    return application


def _organization(session: Session, caller: Principal, organization_id: UUID) -> Organization:
    organization = organizations.one(session, caller, organization_id, lock=True)
    if organization is None:
        raise NotFound
    return organization
