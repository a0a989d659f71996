"""HTTP only: parse, call one use case, return the model."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import RedirectResponse

from tejido_registry import queries, schemas, service
from tejido_registry.db import tx
from tejido_registry.directory import search
from tejido_registry.directory.views import PLAIN, consented
from tejido_registry.models import HistoryEntry, Organization
from tejido_registry.procedure import service as procedure
from tejido_registry.settings import jurisdiction
from tejido_registry.territories import service as territories
from tejido_shared import i18n
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.idempotency import IdempotencyKey, Once
from tejido_shared.jurisdiction import Area, Population, Role, Theme
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import FieldError, NotFound

router = APIRouter(prefix="/v1")
PACKAGE = service.PACKAGE

ACTS = {"suspend": "suspended", "lift": "registered", "cancel": "cancelled", "withdraw": "withdrawn"}

Person = Annotated[Principal, Depends(require())]
Official = Annotated[Principal, Depends(require(*queries.OFFICIALS))]


@router.get("/organization-types", tags=["organizations"], summary="The kinds of organization and their identifiers")
def list_organization_types(_: Anybody) -> list[schemas.OrganizationTypeOut]:
    pack = jurisdiction()
    schemes = {scheme.code: scheme for scheme in pack.identifier_schemes}
    return [
        schemas.OrganizationTypeOut(
            code=kind.code,
            name=kind.name,
            description=kind.description,
            grade=kind.grade,
            identifier_schemes=[
                schemas.IdentifierSchemeOut(code=code, name=schemes[code].name, unique=schemes[code].unique)
                for code in kind.identifier_schemes
            ],
        )
        for kind in pack.organization_types
    ]


@router.get("/register-options", tags=["organizations"], summary="Areas, themes, populations and documents")
def list_register_options(_: Anybody) -> schemas.RegisterOptions:
    pack = jurisdiction()
    register = pack.registration

    def choices(known: Iterable[Area | Theme | Population]) -> list[schemas.Choice]:
        return [schemas.Choice(code=one.code, name=one.name) for one in known]

    return schemas.RegisterOptions(
        areas=choices(pack.areas),
        themes=choices(register.theme),
        populations=choices(register.population),
        document_types=[schemas.DocumentChoice(**one.model_dump()) for one in register.document_type],
        documents_asked=[
            schemas.AskedDocuments(procedure=one.procedure, documents=[*one.documents], types=[*one.types])
            for one in register.documents_asked
        ],
        admits_without_legal_personality=register.policy.admits_without_legal_personality,
    )


@router.post("/organizations", status_code=201, tags=["organizations"], summary="Enter an organization, or begin one")
def create_organization(body: schemas.OrganizationIn, once: IdempotencyKey, caller: Person) -> schemas.OrganizationOut:
    """A registrar enters one of an older register, or a draft at a counter; anybody else begins the draft of their own."""
    official = caller.has(Role.REGISTRAR)
    values = dict(body)
    if not official and "registration_status" not in body.model_fields_set:
        values["registration_status"] = "draft"
    with tx() as session:

        def act() -> schemas.OrganizationOut:
            organization = service.create(session, values, caller.subject, on_behalf=official)
            return _whole(organization, caller)

        return once.run(session, schemas.OrganizationOut, act)


@router.get("/organizations", tags=["organizations"], summary="The register, searched and filtered")
def list_organizations(
    asked: Annotated[schemas.OrganizationQuery, Query()], caller: Anybody
) -> Page[schemas.OrganizationSummary]:
    """The public sees the directory; who acts for an organization, theirs too; officials, all."""
    with tx() as session:
        return search.page(
            session,
            caller,
            asked,
            queries.box_of(asked.bbox),
            queries.point_of(asked.near),
            lambda organization: schemas.OrganizationSummary(**_summary_fields(organization, caller)),
        )


@router.get(
    "/organizations/{organization_id}",
    tags=["organizations"],
    summary="One organization",
    response_model=schemas.OrganizationOut,
    responses={308: {"description": "It was found to be another, which is at `Location`"}},
)
def read_organization(organization_id: UUID, caller: Anybody, response: Response) -> Any:
    with tx() as session:
        organization = _found(queries.one(session, caller, organization_id))
        if organization.merged_into is not None:
            # Relative, for the gateway has this service under a path of its own.
            return RedirectResponse(str(organization.merged_into), 308)
        response.headers["ETag"] = etag(organization)
        return _whole(organization, caller)


@router.patch("/organizations/{organization_id}", tags=["organizations"], summary="Correct an organization's data")
def change_organization(
    organization_id: UUID,
    body: schemas.OrganizationPatch,
    caller: Person,
    response: Response,
    if_match: IfMatch = None,
) -> schemas.OrganizationOut:
    """Correcting the last item that was asked for hands the application in again."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    with tx() as session:
        organization = _found(queries.one(session, caller, organization_id, lock=True))
        by = procedure.actor_of(caller, organization)
        check_match(if_match, organization)
        procedure.change(session, organization, changes, by, caller.subject)
        response.headers["ETag"] = etag(organization)
        return _whole(organization, caller)


@router.post(
    "/organizations/{organization_id}/registration-status",
    tags=["organizations"],
    summary="Move an organization to another registration status",
)
def set_registration_status(
    organization_id: UUID, body: schemas.StatusIn, once: IdempotencyKey, caller: Person
) -> schemas.OrganizationOut:
    """Any step that the jurisdiction's table has. 409 with the reason where it has none, or the step is another's or lacks something."""
    defects = [(one.item, one.reason) for one in body.defects]
    return _move(organization_id, once, caller, body.status, body.reason, body.act, body.until, defects)


@router.post(
    "/organizations/{organization_id}/acts",
    tags=["organizations"],
    summary="Suspend an organization, lift that, cancel or withdraw it",
)
def record_act(
    organization_id: UUID, body: schemas.OrganizationActIn, once: IdempotencyKey, caller: Person
) -> schemas.OrganizationOut:
    return _move(organization_id, once, caller, ACTS[body.kind], body.reasons, body.act, body.until)


@router.get("/organizations/{organization_id}/history", tags=["organizations"], summary="What happened to it, in order")
def read_history(
    organization_id: UUID, asked: Annotated[schemas.HistoryQuery, Query()], caller: Official
) -> Page[schemas.HistoryOut]:
    with tx() as session:
        _found(queries.one(session, caller, organization_id))
        return page_of(
            session,
            queries.history_of(organization_id),
            asked,
            _history,
            sort=asked.sort,
            orders=queries.HISTORY_SORTABLE,
            key=HistoryEntry.id,
        )


def _move(
    organization_id: UUID,
    once: Once,
    caller: Principal,
    to: str,
    reasons: str | None,
    named: schemas.ActIn | None,
    until: date | None,
    defects: Sequence[tuple[str, str]] = (),
) -> schemas.OrganizationOut:
    act_of_authority = procedure.Act(named.number, named.day) if named else None
    with tx() as session:

        def act() -> schemas.OrganizationOut:
            organization = _found(queries.one(session, caller, organization_id, lock=True))
            procedure.move(
                session,
                organization,
                to,
                procedure.actor_of(caller, organization, to),
                caller.subject,
                reasons=reasons,
                act=act_of_authority,
                until=until,
                defects=defects,
            )
            return _whole(organization, caller)

        return once.run(session, schemas.OrganizationOut, act)


def _found(organization: Organization | None) -> Organization:
    if organization is None:
        raise NotFound
    return organization


def _summary_fields(organization: Organization, caller: Principal | None) -> dict[str, Any]:
    inside = _sees_all(organization, caller)
    shown = consented(organization)
    names = schemas.OrganizationSummary.model_fields.keys() - {"identifiers", "point", "public"}
    values = {name: getattr(organization, name) if inside else shown.get(name) for name in names}
    placed = organization.latitude is not None
    return (
        values
        | {name: getattr(organization, name) for name in PLAIN}
        | {
            "point": ("exact" if placed else None) if inside else shown["point"],
            "public": schemas.PublicFields(**{name: shown[name] for name in schemas.PublicFields.model_fields}),
            "identifiers": [
                schemas.IdentifierOut(scheme=one.scheme, value=one.value, check_digit=one.check_digit)
                for one in organization.identifiers
                if inside or not one.of_a_person
            ],
        }
    )


def _whole(organization: Organization, caller: Principal | None) -> schemas.OrganizationOut:
    if not _sees_all(organization, caller):
        return schemas.OrganizationOut(**_summary_fields(organization, caller))
    return schemas.OrganizationOut(
        **_summary_fields(organization, caller),
        contacts=[
            schemas.ContactOut(name=one.name, post=one.post, email=one.email, phone=one.phone)
            for one in organization.contacts
        ],
        branches=[
            schemas.BranchOut(**{name: getattr(one, name) for name in schemas.BranchOut.model_fields})
            for one in organization.branches
        ],
        area_found=organization.area_found,
        filing_due_on=organization.filing_due_on,
        captured_by=organization.captured_by if queries.is_official(caller) else None,
        on_behalf=organization.on_behalf,
        warnings=[
            FieldError(field=field, code=code, reason=i18n.text(PACKAGE, f"field.{code}", **params))
            for field, code, params in _warnings(organization)
        ],
    )


def _warnings(organization: Organization) -> Iterator[tuple[str, str, dict[str, str]]]:
    for index, one in enumerate(organization.identifiers):
        if one.of_a_person:
            yield f"identifiers.{index}.value", "person_tax_number", {}
    if (flaw := territories.flaw(organization)) is not None:
        yield "latitude", flaw, {}
    if organization.area_found is not None and organization.area not in (None, organization.area_found):
        said = {"typed": _area_name(organization.area), "found": _area_name(organization.area_found)}
        yield "area", "area_disagrees", said


def _area_name(code: str) -> str:
    try:
        return jurisdiction().area(code).name
    except LookupError:
        return code


def _sees_all(organization: Organization, caller: Principal | None) -> bool:
    return queries.is_official(caller) or queries.acts_for(caller, organization)


def _history(entry: HistoryEntry) -> schemas.HistoryOut:
    return schemas.HistoryOut(
        at=entry.at,
        kind=entry.kind,
        what=i18n.text(PACKAGE, f"history.{entry.kind}", **entry.details | _in_words(entry.details)),
        author=entry.author,
        reason=entry.reason,
        details=entry.details,
    )


def _in_words(details: dict[str, Any]) -> dict[str, str]:
    """The statuses of a step as people say them."""
    steps = {name: details[name] for name in ("before", "after") if isinstance(details.get(name), str)}
    return {
        name: i18n.text(PACKAGE, f"status.{code}")
        for name, code in steps.items()
        if i18n.knows(PACKAGE, f"status.{code}")
    }
