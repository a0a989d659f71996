"""Which certificates there are."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.models import Certificate, Organization

SORTABLE = {"issued_at": Certificate.issued_at}


def of_organization(organization_id: UUID) -> sa.Select[Certificate]:
    return sa.select(Certificate).where(Certificate.organization_id == organization_id)


def by_code(session: Session, code: str, *, lock: bool = False) -> Certificate | None:
    """As a person types it: hyphens, blanks and capitals do not matter."""
    plain = code.upper().replace("-", "").replace(" ", "")
    query = sa.select(Certificate).where(Certificate.code == plain)
    return session.scalar(query.with_for_update() if lock else query)


def same(
    session: Session, organization_id: UUID, author: str, since: datetime, said: dict[str, Any]
) -> Certificate | None:
    """One that this person had issued since an instant, that says the same and was not revoked."""
    query = of_organization(organization_id).where(
        Certificate.issued_by == author,
        Certificate.issued_at >= since,
        Certificate.revoked_at.is_(None),
        Certificate.said == said,
    )
    return session.scalar(query.order_by(Certificate.issued_at.desc()).limit(1))


def with_organization(session: Session, code: str) -> tuple[Certificate, Organization] | None:
    certificate = by_code(session, code)
    if certificate is None:
        return None
    return certificate, session.get_one(Organization, certificate.organization_id)


def number_of(session: Session, organization_id: UUID) -> str | None:
    return session.scalar(sa.select(Organization.number).where(Organization.id == organization_id))
