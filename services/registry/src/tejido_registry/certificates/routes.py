"""HTTP only: certificates issued, listed, verified, printed and revoked."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response

from tejido_registry import queries as register
from tejido_registry.certificates import queries, schemas, service, views
from tejido_registry.db import tx
from tejido_registry.models import Certificate, Organization
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound
from tejido_shared.refusals import NotForThem

router = APIRouter(prefix="/v1", tags=["certificates"])

Person = Annotated[Principal, Depends(require())]
Registrar = Annotated[Principal, Depends(require(Role.REGISTRAR))]
Code = Annotated[schemas.Code, Path(description="The certificate's code; hyphens and capitals do not matter")]


@router.post("/organizations/{organization_id}/certificates", status_code=201, summary="Issue a certificate")
def issue_certificate(organization_id: UUID, once: IdempotencyKey, caller: Person) -> schemas.CertificateOut:
    """Of what the register says of it now. Asked again on the same day, and nothing changed, it is the same one."""
    with tx() as session:

        def act() -> schemas.CertificateOut:
            organization = register.one(session, caller, organization_id, lock=True)
            if organization is None:
                raise NotFound
            registrar = caller.has(Role.REGISTRAR)
            if not registrar and not register.acts_for(caller, organization):
                raise NotForThem("only_own_certificates")
            certificate = service.issue(session, organization, caller.subject, for_itself=not registrar)
            return views.certificate_out(certificate, official=register.is_official(caller))

        return once.run(session, schemas.CertificateOut, act)


@router.get("/organizations/{organization_id}/certificates", summary="The certificates it was given")
def list_certificates(
    organization_id: UUID, asked: Annotated[schemas.CertificatesQuery, Query()], caller: Person
) -> Page[schemas.CertificateOut]:
    official = register.is_official(caller)
    with tx() as session:
        organization: Organization | None = register.one(session, caller, organization_id)
        if organization is None:
            raise NotFound
        if not official and not register.acts_for(caller, organization):
            raise NotForThem("only_own_certificates")
        return page_of(
            session,
            queries.of_organization(organization_id),
            asked,
            lambda certificate: views.certificate_out(certificate, official=official),
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Certificate.id,
        )


@router.get("/certificates/{code}", summary="Verify a certificate")
def read_certificate(code: Code, _: Anybody) -> schemas.CertificateCheck:
    """Whether it is good, what it said, and what the register says today."""
    with tx() as session:
        found = queries.with_organization(session, code)
        if found is None:
            raise NotFound
        return views.check(session, *found)


@router.get(
    "/certificates/{code}/document",
    summary="The certificate as PDF",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}},
)
def read_certificate_document(code: Code, _: Anybody) -> Response:
    with tx() as session:
        certificate = queries.by_code(session, code)
        if certificate is None:
            raise NotFound
    headers = {"Content-Disposition": f'inline; filename="{certificate.number}.pdf"'}
    return Response(views.document(certificate), media_type="application/pdf", headers=headers)


@router.post("/certificates/{code}/revocation", status_code=201, summary="Revoke a certificate")
def revoke_certificate(
    code: Code, body: schemas.RevocationIn, once: IdempotencyKey, caller: Registrar
) -> schemas.CertificateOut:
    """Whoever verifies it from now on is told so, and since when."""
    with tx() as session:

        def act() -> schemas.CertificateOut:
            certificate = queries.by_code(session, code, lock=True)
            if certificate is None:
                raise NotFound
            service.revoke(session, certificate, body.reason, caller.subject)
            return views.certificate_out(certificate, official=True)

        return once.run(session, schemas.CertificateOut, act)
