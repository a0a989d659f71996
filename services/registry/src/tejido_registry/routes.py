"""HTTP only: parse, call one use case, return the model."""

import math
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, File, Form, Query, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from tejido_registry import imports, queries, schemas, service
from tejido_registry.db import tx
from tejido_registry.models import HistoryEntry, Organization
from tejido_registry.settings import jurisdiction, settings
from tejido_shared import i18n
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.fields import Line
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import FieldError, NotFound
from tejido_shared.refusals import NotForThem, Refused

router = APIRouter(prefix="/v1")
PACKAGE = service.PACKAGE

Registrar = Annotated[Principal, Depends(require(Role.REGISTRAR))]
Editor = Annotated[Principal, Depends(require(Role.REGISTRAR, Role.ORGANIZATION_REPRESENTATIVE))]
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


@router.post("/organizations", status_code=201, tags=["organizations"], summary="Enter an organization in the register")
def create_organization(
    body: schemas.OrganizationIn, once: IdempotencyKey, caller: Registrar
) -> schemas.OrganizationOut:
    with tx() as session:

        def act() -> schemas.OrganizationOut:
            organization = service.create(session, dict(body), caller.subject)
            return _whole(organization, caller)

        return once.run(session, schemas.OrganizationOut, act)


@router.get("/organizations", tags=["organizations"], summary="The register, searched and filtered")
def list_organizations(
    asked: Annotated[schemas.OrganizationQuery, Query()], caller: Anybody
) -> Page[schemas.OrganizationSummary]:
    """The public sees what was entered in the register; officials also drafts and applications."""
    with tx() as session:
        return page_of(
            session,
            queries.matching(caller, asked, _box(asked.bbox)),
            asked,
            lambda organization: schemas.OrganizationSummary(**_summary_fields(organization, caller)),
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Organization.id,
        )


@router.get("/organizations/{organization_id}", tags=["organizations"], summary="One organization")
def read_organization(organization_id: UUID, caller: Anybody, response: Response) -> schemas.OrganizationOut:
    with tx() as session:
        organization = _found(queries.one(session, caller, organization_id))
        response.headers["ETag"] = etag(organization)
        return _whole(organization, caller)


@router.patch("/organizations/{organization_id}", tags=["organizations"], summary="Correct an organization's data")
def change_organization(
    organization_id: UUID,
    body: schemas.OrganizationPatch,
    caller: Editor,
    response: Response,
    if_match: IfMatch = None,
) -> schemas.OrganizationOut:
    """The registrar changes anything; an organization's own representative, its contacts."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if not caller.has(Role.REGISTRAR) and not (caller.represents(organization_id) and changes.keys() <= {"contacts"}):
        raise NotForThem("only_own_contacts")
    with tx() as session:
        organization = _found(queries.one(session, caller, organization_id, lock=True))
        check_match(if_match, organization)
        service.change(session, organization, changes, caller.subject)
        response.headers["ETag"] = etag(organization)
        return _whole(organization, caller)


@router.post(
    "/organizations/{organization_id}/registration-status",
    tags=["organizations"],
    summary="Move an organization to another registration status",
)
def set_registration_status(
    organization_id: UUID, body: schemas.StatusIn, once: IdempotencyKey, caller: Registrar
) -> schemas.OrganizationOut:
    """An act, with its reason. 409 where the register knows no such step."""
    with tx() as session:

        def act() -> schemas.OrganizationOut:
            organization = _found(queries.one(session, caller, organization_id, lock=True))
            service.set_status(session, organization, body.status, body.reason, caller.subject)
            return _whole(organization, caller)

        return once.run(session, schemas.OrganizationOut, act)


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


@router.post("/imports", tags=["imports"], summary="Import a register from a CSV or XLSX file")
def import_register(
    caller: Registrar,
    file: Annotated[UploadFile, File(description="CSV (`,`, `;` or tab; UTF-8 or Latin-1) or XLSX (first sheet)")],
    mapping: Annotated[
        str,
        Form(
            min_length=2,
            max_length=20_000,
            description='JSON: how their columns become our fields, e.g. {"columns": {"name": "biblioteca"}, '
            '"constants": {"organization_type": "civil_association"}, "key": ["nro_registro"]}',
            json_schema_extra={"contentMediaType": "application/json"},
        ),
    ],
    source: Annotated[Line, Form(description="Name of the register; a second run knows its rows again by it")],
    *,
    dry_run: Annotated[bool, Form(description="Only say what the import would do")] = False,
    all_or_nothing: Annotated[bool, Form(description="Import nothing if a row is rejected")] = False,
) -> schemas.ImportOut:
    """The good rows are imported and the bad ones reported. Repeating it changes nothing, so it needs no Idempotency-Key."""
    try:
        wanted = schemas.ImportMapping.model_validate_json(mapping)
    except ValidationError as invalid:
        raise RequestValidationError(
            [error | {"loc": ("body", "mapping", *error["loc"])} for error in invalid.errors()]
        ) from None
    reading = imports.read(file.file.read(), wanted, settings().import_rows)
    with tx() as session:
        return imports.run(session, source, reading, caller.subject, dry_run=dry_run, all_or_nothing=all_or_nothing)


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        west = math.nan
    else:
        if -180 <= west <= east <= 180 and -90 <= south <= north <= 90:
            return west, south, east, north
    raise Refused("bbox", "query.bbox")


def _found(organization: Organization | None) -> Organization:
    if organization is None:
        raise NotFound
    return organization


def _summary_fields(organization: Organization, caller: Principal | None) -> dict[str, Any]:
    inside = _sees_all(organization, caller)
    names = schemas.OrganizationSummary.model_fields.keys() - {"identifiers"}
    return {name: getattr(organization, name) for name in names} | {
        "identifiers": [
            schemas.IdentifierOut(scheme=one.scheme, value=one.value, check_digit=one.check_digit)
            for one in organization.identifiers
            if inside or not one.of_a_person
        ]
    }


def _whole(organization: Organization, caller: Principal | None) -> schemas.OrganizationOut:
    if not _sees_all(organization, caller):
        return schemas.OrganizationOut(**_summary_fields(organization, caller))
    return schemas.OrganizationOut(
        **_summary_fields(organization, caller),
        contacts=[
            schemas.ContactOut(name=one.name, post=one.post, email=one.email, phone=one.phone)
            for one in organization.contacts
        ],
        warnings=[
            FieldError(
                field=f"identifiers.{index}.value",
                code="person_tax_number",
                reason=i18n.text(PACKAGE, "field.person_tax_number"),
            )
            for index, one in enumerate(organization.identifiers)
            if one.of_a_person
        ],
    )


def _sees_all(organization: Organization, caller: Principal | None) -> bool:
    return queries.is_official(caller) or (caller is not None and caller.represents(organization.id))


def _history(entry: HistoryEntry) -> schemas.HistoryOut:
    return schemas.HistoryOut(
        at=entry.at,
        kind=entry.kind,
        what=i18n.text(PACKAGE, f"history.{entry.kind}", **entry.details),
        author=entry.author,
        reason=entry.reason,
        details=entry.details,
    )
