"""Certificates issued, judged and revoked. Each use case takes a session and never commits."""

import secrets
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy.orm import Session

from tejido_registry import queries as register_queries
from tejido_registry import service as register
from tejido_registry.certificates import queries
from tejido_registry.certificates.schemas import Statement, Validity
from tejido_registry.models import Certificate, Organization
from tejido_registry.settings import jurisdiction
from tejido_shared.clock import now
from tejido_shared.refusals import Refused

UNREGISTERED = ("draft", "submitted", "in_review", "needs_correction", "rejected")
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LETTERS = 16
"""80 bits: nobody guesses one."""


def issue(session: Session, organization: Organization, author: str, *, for_itself: bool) -> Certificate:
    """A certificate of what the register says now. The same person on the same day gets the same one, while it says the same.

    The organization is locked by the caller, so that two at once are one. `for_itself`: who acts for it asks, and then it must be one
    that may be listed. Raises `Refused`.
    """
    if organization.registration_status in UNREGISTERED or organization.merged_into is not None:
        raise Refused("nothing_to_certify")
    if for_itself and not register_queries.is_listed(organization):
        raise Refused("not_listed")
    said = statement(session, organization).model_dump(mode="json")
    instant, pack = now(), jurisdiction()
    today = instant.astimezone(pack.zone).date()
    before = queries.same(session, organization.id, author, datetime.combine(today, time.min, pack.zone), said)
    if before is not None:
        return before
    certificate = Certificate(
        organization_id=organization.id,
        number=register.next_numbers(session, 1, "certificate")[0],
        code="".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS)),
        said=said,
        issued_at=instant,
        issued_by=author,
        good_until=today + timedelta(days=pack.registration.policy.certificate_days),
    )
    session.add(certificate)
    session.flush()
    register.record(session, organization, "certificate_issued", author, number=certificate.number)
    return certificate


def revoke(session: Session, certificate: Certificate, reason: str, author: str) -> None:
    """It is good for nothing from now on. Raises `Refused` if it was revoked before."""
    if certificate.revoked_at is not None:
        raise Refused("already_revoked")
    certificate.revoked_at, certificate.revoked_by, certificate.revoked_why = now(), author, reason
    session.flush()
    organization = session.get_one(Organization, certificate.organization_id)
    register.record(session, organization, "certificate_revoked", author, reason=reason, number=certificate.number)


def statement(session: Session, organization: Organization) -> Statement:
    """What the register says of it now."""
    merged = organization.merged_into
    names: dict[str, Any] = {
        name: getattr(organization, name) for name in Statement.model_fields if name != "merged_into"
    }
    return Statement(**names, merged_into=queries.number_of(session, merged) if merged is not None else None)


def validity(certificate: Certificate, on: date) -> Validity:
    if certificate.revoked_at is not None:
        return "revoked"
    return "expired" if on > certificate.good_until else "valid"
