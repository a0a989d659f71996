"""How a certificate is shown: to who has it issued, to who verifies it, and on paper."""

from typing import ClassVar

from sqlalchemy.orm import Session

from tejido_registry.certificates import schemas, service
from tejido_registry.certificates.schemas import Statement
from tejido_registry.directory.exports import names_of
from tejido_registry.models import Certificate, Organization
from tejido_registry.service import PACKAGE, today
from tejido_registry.settings import jurisdiction, settings
from tejido_shared import i18n, typesetting
from tejido_shared.typesetting import Block, qr

FIELDS = ("name", "number", "organization_type", "registration_status", "legal_status", "mandate", "area")


class Words(typesetting.Words):
    """Texts `certificate.…` of this service."""

    package: ClassVar[str] = PACKAGE
    prefix: ClassVar[str] = "certificate"


def words() -> Words:
    return Words("en" if i18n.language.get() == "en" else "es", jurisdiction().country)


def url_of(certificate: Certificate) -> str:
    return f"{settings().common.public_url.rstrip('/')}/constancia/{certificate.code}"


def spaced(code: str) -> str:
    """A code in groups of four, as a person reads it."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def certificate_out(certificate: Certificate, *, official: bool) -> schemas.CertificateOut:
    return schemas.CertificateOut(
        id=certificate.id,
        number=certificate.number,
        code=certificate.code,
        url=url_of(certificate),
        status=service.validity(certificate, today()),
        said=Statement.model_validate(certificate.said),
        issued_at=certificate.issued_at,
        good_until=certificate.good_until,
        revoked_at=certificate.revoked_at,
        revoked_why=certificate.revoked_why if official else None,
    )


def check(session: Session, certificate: Certificate, organization: Organization) -> schemas.CertificateCheck:
    said, says = Statement.model_validate(certificate.said), service.statement(session, organization)
    return schemas.CertificateCheck(
        number=certificate.number,
        status=service.validity(certificate, today()),
        issued_at=certificate.issued_at,
        good_until=certificate.good_until,
        revoked_at=certificate.revoked_at,
        said=said,
        today=says,
        differs=[name for name in Statement.model_fields if getattr(said, name) != getattr(says, name)],
    )


def in_words(said: Statement, speak: Words) -> dict[str, str]:
    """A statement as people say it, field by field."""
    kinds, areas = names_of("organization_type"), names_of("area")
    until = speak.plain_day(said.mandate_until) if said.mandate_until else ""
    status = i18n.text(PACKAGE, f"status.{said.registration_status}", speak.language)
    return {
        "name": said.name,
        "number": said.number,
        "organization_type": kinds.get(said.organization_type, said.organization_type),
        "registration_status": f"{status}: {said.merged_into}" if said.merged_into else status,
        "legal_status": speak.say(f"legal.{said.legal_status or 'unknown'}"),
        "mandate": speak.say(f"mandate.{said.mandate_status}", day=until),
        "area": areas.get(said.area, said.area) if said.area else speak.say("area.unknown"),
    }


def document(certificate: Certificate) -> bytes:
    """The certificate as PDF/A. It says what it said when it was issued; whether it is good still, its page says."""
    speak, pack = words(), jurisdiction()
    said = in_words(Statement.model_validate(certificate.said), speak)
    issued = certificate.issued_at.astimezone(pack.zone)
    url = url_of(certificate)
    blocks: list[Block] = [
        {
            "kind": "panel",
            "label": speak.say("number_label"),
            "value": certificate.number,
            "rows": [
                [speak.say("issued"), f"{speak.plain_day(issued.date())}, {speak.hour(issued, pack.zone)}"],
                [speak.say("good_until"), speak.plain_day(certificate.good_until)],
                [speak.say("code"), spaced(certificate.code)],
            ],
            "qr": qr.svg(url),
            "qr_alt": speak.say("qr_alt", url=url),
            "qr_caption": speak.say("qr_caption"),
            "url": url,
        },
        {"kind": "heading", "text": speak.say("heading")},
        {"kind": "prose", "text": speak.say("states", entity=pack.entity.name)},
        {"kind": "fields", "rows": [[speak.say(f"field.{name}"), said[name]] for name in FIELDS]},
        {"kind": "note", "text": speak.say("verify", url=url)},
        {"kind": "small", "text": speak.say("scope")},
    ]
    return typesetting.pdf(
        speak,
        pack.entity,
        title=speak.say("title"),
        subtitle=said["name"],
        footer=f"{pack.entity.short_name} · {certificate.number}",
        blocks=blocks,
        at=certificate.issued_at,
    )
