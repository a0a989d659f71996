"""What each figure counts, said once; and the figures, in one statement for all groups.

The axes are those that are kept on the organization: they are right until `axes_due_on`, and a task sees to it.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.models import Application, Contact, DuplicatePair, HistoryEntry, Organization, Territory
from tejido_registry.quality.schemas import Figure, LinesQuery

Condition = sa.ColumnElement[bool]
IN_THE_REGISTER = ("registered", "inactive", "suspended")
IN_OFFICE = ("current", "expiring")
OPEN = ("submitted", "in_review", "needs_correction")
GOOD: tuple[Figure, ...] = ("verified", "valid_mandate", "geocoded")
"""Figures that should be everybody: those are listed of whom they do not hold."""
STALE_DRAFT = timedelta(days=30)
"""A draft that nobody went on with for so long is to be looked at."""
WITHOUT = "none"
SORTABLE = {"name": Organization.sort_name}


def conditions(at: datetime, today: date) -> dict[str, Condition]:
    """What has to hold of an organization to be counted. Of drafts and applications: of any that is not merged."""
    organization = Organization
    registered = organization.registration_status.in_(IN_THE_REGISTER)
    pending = DuplicatePair.status == "pending"
    paired = sa.union(
        sa.select(DuplicatePair.first_id).where(pending), sa.select(DuplicatePair.second_id).where(pending)
    )
    late = sa.select(Application.organization_id).where(Application.status.in_(OPEN), Application.due_on < today)
    shapes = sa.select(sa.literal(1)).where(Territory.kind == "area").exists()
    return {
        "verified": registered & (organization.freshness == "verified"),
        "valid_mandate": registered & organization.mandate_status.in_(IN_OFFICE),
        "geocoded": registered & organization.latitude.is_not(None),
        "outside": registered & organization.latitude.is_not(None) & organization.area_found.is_(None) & shapes,
        "area_disagrees": registered & (organization.area != organization.area_found),
        "bounced": registered & organization.contact_bounced_at.is_not(None),
        "without_contact": registered & organization.id.not_in(sa.select(Contact.organization_id)),
        "possible_duplicate": registered & organization.id.in_(paired),
        "filing_overdue": registered & (organization.filing_due_on < today),
        "draft_overdue": (organization.registration_status == "draft") & (organization.changed_at < at - STALE_DRAFT),
        "application_overdue": organization.id.in_(late),
    }


def totals() -> dict[str, Condition]:
    """What the figures are shares of."""
    opened = sa.select(Application.organization_id).where(Application.status.in_(OPEN))
    return {
        "organizations": Organization.registration_status.in_(IN_THE_REGISTER),
        "drafts": Organization.registration_status == "draft",
        "applications": Organization.id.in_(opened),
    }


def figures(session: Session, at: datetime, today: date) -> Sequence[Any]:
    """One row for all (`part` 3), one for each area (`part` 1) and type (`part` 2); figures and totals are columns by their names."""
    area, kind = Organization.area, Organization.organization_type
    counted = conditions(at, today) | totals()
    query = sa.select(
        sa.func.grouping(area, kind).label("part"),
        area.label("area"),
        kind.label("organization_type"),
        *(sa.func.count().filter(condition).label(name) for name, condition in counted.items()),
    )
    query = query.where(Organization.merged_into.is_(None))
    groups = sa.func.grouping_sets(sa.tuple_(), sa.tuple_(area), sa.tuple_(kind))
    return session.execute(query.group_by(groups)).all()


def duplicates_pending(session: Session) -> int:
    query = sa.select(sa.func.count()).select_from(DuplicatePair).where(DuplicatePair.status == "pending")
    return session.scalar(query) or 0


def lines(asked: LinesQuery, at: datetime, today: date) -> sa.Select[Organization]:
    """The organizations behind a figure, or those it is a share of and does not count."""
    condition = conditions(at, today)[asked.figure]
    if not asked.holds:
        condition = totals()[total_of(asked.figure)] & condition.is_not(sa.true())
    query = sa.select(Organization).where(Organization.merged_into.is_(None), condition)
    if asked.area is not None:
        wanted = Organization.area.is_(None) if asked.area == WITHOUT else Organization.area == asked.area
        query = query.where(wanted)
    if asked.organization_type is not None:
        query = query.where(Organization.organization_type == asked.organization_type)
    return query


def total_of(figure: Figure) -> str:
    return {"draft_overdue": "drafts", "application_overdue": "applications"}.get(figure, "organizations")


def mark_bounced(session: Session, organization_id: UUID, at: datetime) -> None:
    """Of the organization, or the one it was merged into; unless it was given other contacts since."""
    alive = sa.select(sa.func.coalesce(Organization.merged_into, Organization.id))
    since = sa.exists().where(
        HistoryEntry.organization_id == Organization.id,
        HistoryEntry.at > at,
        HistoryEntry.details["fields"].contains(["contacts"]),
    )
    session.execute(
        sa.update(Organization)
        .where(
            Organization.id == alive.where(Organization.id == organization_id).scalar_subquery(),
            Organization.contact_bounced_at.is_(None),
            ~since,
        )
        .values(contact_bounced_at=at),
        execution_options={"synchronize_session": False},
    )
