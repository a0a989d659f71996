"""Which applications there are, and for whom."""

from collections.abc import Collection
from datetime import date, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry import queries as organizations
from tejido_registry.models import Application, Defect, HistoryEntry, Organization
from tejido_registry.procedure.schemas import ApplicationQuery
from tejido_shared.auth import Principal
from tejido_shared.jurisdiction import Role

OPEN = ("submitted", "in_review", "needs_correction")
RUNNING = ("submitted", "in_review")
"""While the office's term runs."""
READERS = (Role.REGISTRAR, Role.REGISTER_AUTHORITY, Role.AUDITOR)
SORTABLE = {"due_on": Application.due_on, "submitted_at": Application.submitted_at}


def visible_to(caller: Principal) -> sa.Select[Application]:
    """All for those who keep or audit the register; their own organizations' for everybody else."""
    query = sa.select(Application)
    if caller.has(*READERS):
        return query
    return query.where(Application.organization_id.in_(sa.select(Organization.id).where(organizations.of(caller))))


def one(session: Session, caller: Principal, application_id: UUID) -> Application | None:
    return session.scalar(visible_to(caller).where(Application.id == application_id))


def matching(caller: Principal, asked: ApplicationQuery, today: date) -> sa.Select[Application]:
    query = visible_to(caller)
    for column in ("kind", "status", "reviewer", "organization_id"):
        wanted = getattr(asked, column)
        if wanted is not None:
            query = query.where(getattr(Application, column) == wanted)
    overdue = Application.status.in_(RUNNING) & (Application.due_on < today)
    if asked.open is not None:
        query = query.where(Application.status.in_(OPEN) == asked.open)
    if asked.overdue is not None:
        query = query.where(overdue if asked.overdue else ~overdue)
    if asked.due_within is not None:
        until = today + timedelta(days=asked.due_within)
        query = query.where(Application.status.in_(RUNNING), Application.due_on <= until)
    return query


def names(session: Session, ids: Collection[UUID]) -> dict[UUID, tuple[str, str]]:
    """Number and name of organizations."""
    rows = session.execute(
        sa.select(Organization.id, Organization.number, Organization.name).where(Organization.id.in_(ids))
    )
    return {key: (number, name) for key, number, name in rows}


def locked(session: Session, application: Application) -> Organization:
    """The organization of an application, both locked and as they are now; always in this order."""
    organization = session.scalars(
        sa.select(Organization).where(Organization.id == application.organization_id).with_for_update()
    ).one()
    session.refresh(application, with_for_update=True)
    return organization


def open_one(session: Session, organization_id: UUID, kind: str) -> Application | None:
    return session.scalar(
        sa.select(Application).where(
            Application.organization_id == organization_id, Application.kind == kind, Application.status.in_(OPEN)
        )
    )


def correcting(session: Session, organization_id: UUID) -> list[Application]:
    """Its applications that it was asked to correct."""
    query = sa.select(Application).where(
        Application.organization_id == organization_id, Application.status == "needs_correction"
    )
    return list(session.scalars(query.order_by(Application.id)))


def lapsed(session: Session, today: date, most: int) -> list[Application]:
    """Applications whose organization let the term to correct pass."""
    query = sa.select(Application).where(Application.status == "needs_correction", Application.correction_until < today)
    return list(session.scalars(query.order_by(Application.organization_id, Application.id).limit(most)))


def defects(session: Session, application_id: UUID) -> list[Defect]:
    query = sa.select(Defect).where(Defect.application_id == application_id)
    return list(session.scalars(query.order_by(Defect.round, Defect.item)))


def flagged(session: Session, organization_id: UUID) -> set[str]:
    """The items that an organization may edit because it was asked to correct them."""
    return {
        one.item
        for application in correcting(session, organization_id)
        for one in defects(session, application.id)
        if one.round == application.corrections
    }


def accepted(session: Session, organization_id: UUID, period: int) -> bool:
    """Whether the annual filing of this year was accepted."""
    query = sa.select(Application.id).where(
        Application.organization_id == organization_id,
        Application.kind == "annual_filing",
        Application.period == period,
        Application.status == "accepted",
    )
    return session.scalar(query.limit(1)) is not None


def filed_since_inactive(session: Session, organization_id: UUID) -> bool:
    """Whether an annual filing was accepted after the organization last became inactive."""
    became = sa.select(sa.func.max(HistoryEntry.at)).where(
        HistoryEntry.organization_id == organization_id,
        HistoryEntry.kind == "status_changed",
        HistoryEntry.details["after"].astext == "inactive",
    )
    query = sa.select(Application.id).where(
        Application.organization_id == organization_id,
        Application.kind == "annual_filing",
        Application.status == "accepted",
        Application.decided_at >= sa.func.coalesce(became.scalar_subquery(), sa.text("'-infinity'::timestamptz")),
    )
    return session.scalar(query.limit(1)) is not None


def pauses(session: Session, application: Application) -> list[HistoryEntry]:
    """When it was asked to correct and when it was handed in again, in order."""
    query = sa.select(HistoryEntry).where(
        HistoryEntry.organization_id == application.organization_id,
        HistoryEntry.kind.in_(("correction_asked", "corrected")),
        HistoryEntry.details["application"].astext == str(application.id),
    )
    return list(session.scalars(query.order_by(HistoryEntry.at, HistoryEntry.id)))
