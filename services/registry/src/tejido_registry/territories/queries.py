"""Reading the shapes, and the organizations that have a point."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, defer

from tejido_registry.models import Organization, Territory

SORTABLE = {"name": Territory.name}


def version(session: Session) -> tuple[int, UUID | None]:
    """Changes whenever a shape does: what is stored anew has a key that is greater than all before."""
    newest = sa.select(Territory.id).order_by(Territory.id.desc()).limit(1).scalar_subquery()
    count, newest_id = session.execute(sa.select(sa.func.count(), newest).select_from(Territory)).one()
    return count, newest_id


def shapes(session: Session) -> Sequence[Territory]:
    return session.scalars(sa.select(Territory)).all()


def of_kind(session: Session, kind: str) -> dict[str, Territory]:
    """By code."""
    return {one.code: one for one in session.scalars(sa.select(Territory).where(Territory.kind == kind))}


def codes(session: Session, kind: str) -> set[str]:
    return set(session.scalars(sa.select(Territory.code).where(Territory.kind == kind)))


def neighborhoods_by_area(session: Session) -> dict[str, int]:
    count = sa.select(Territory.area, sa.func.count()).where(
        Territory.kind == "neighborhood", Territory.area.is_not(None)
    )
    return {str(area): number for area, number in session.execute(count.group_by(Territory.area))}


def neighborhoods(area: str | None) -> sa.Select[Territory]:
    query = sa.select(Territory).where(Territory.kind == "neighborhood").options(defer(Territory.shape))
    return query.where(Territory.area == area) if area is not None else query


def with_point(session: Session, after: UUID | None, limit: int) -> Sequence[Organization]:
    """The next organizations that have a point, locked, in the order of their keys; merged ones are left as they are."""
    query = sa.select(Organization).where(Organization.latitude.is_not(None), Organization.merged_into.is_(None))
    if after is not None:
        query = query.where(Organization.id > after)
    return session.scalars(query.order_by(Organization.id).limit(limit).with_for_update()).all()
