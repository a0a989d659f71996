"""The dated facts that standing is judged by, of many organizations at once."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.axes import Confirmation, Term
from tejido_registry.models import Application, Document, Mandate, Verification
from tejido_registry.standing.rules import Paper

OPEN = ("submitted", "in_review", "needs_correction")


def terms(session: Session, ids: Collection[UUID]) -> dict[UUID, list[Term]]:
    """The mandates of those who sign, without what was recorded by mistake."""
    found: dict[UUID, list[Term]] = defaultdict(list)
    rows = session.execute(
        sa.select(Mandate.organization_id, Mandate.starts_on, Mandate.ends_on, Mandate.ended_on).where(
            Mandate.organization_id.in_(ids), Mandate.signs, Mandate.ended_why.is_distinct_from("error")
        )
    )
    for organization_id, starts_on, ends_on, ended_on in rows:
        found[organization_id].append(Term(starts_on, ends_on, ended_on))
    return found


def confirmations(session: Session, ids: Collection[UUID]) -> dict[UUID, list[Confirmation]]:
    """The verifications that count."""
    found: dict[UUID, list[Confirmation]] = defaultdict(list)
    rows = session.execute(
        sa.select(Verification.organization_id, Verification.fields, Verification.verified_on).where(
            Verification.organization_id.in_(ids), Verification.result != "not_confirmed"
        )
    )
    for organization_id, groups, on in rows:
        found[organization_id].append(Confirmation(frozenset(groups), on))
    return found


def papers(session: Session, ids: Collection[UUID]) -> dict[UUID, list[Paper]]:
    """The verified documents."""
    found: dict[UUID, list[Paper]] = defaultdict(list)
    rows = session.execute(
        sa.select(Document.organization_id, Document.document_type, Document.expires_on).where(
            Document.organization_id.in_(ids), Document.status == "verified"
        )
    )
    for organization_id, document_type, expires_on in rows:
        found[organization_id].append(Paper(document_type, expires_on))
    return found


def filing(session: Session, ids: Collection[UUID]) -> set[UUID]:
    """Those whose annual filing waits for its decision."""
    return set(
        session.scalars(
            sa.select(Application.organization_id).where(
                Application.organization_id.in_(ids),
                Application.kind == "annual_filing",
                Application.status.in_(OPEN),
            )
        )
    )
