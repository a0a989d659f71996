"""Merges, and the organizations in them."""

from collections.abc import Collection, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.merges.schemas import MergeQuery
from tejido_registry.models import Application, Merge, Organization

SORTABLE = {"proposed_at": Merge.proposed_at}
OPEN = ("submitted", "in_review", "needs_correction")


def one(session: Session, merge_id: UUID, *, lock: bool = False) -> Merge | None:
    return session.get(Merge, merge_id, with_for_update=lock or None)


def matching(asked: MergeQuery) -> sa.Select[Merge]:
    query = sa.select(Merge)
    if asked.status is not None:
        query = query.where(Merge.status == asked.status)
    if asked.organization_id is not None:
        mine = asked.organization_id
        query = query.where((Merge.survivor_id == mine) | (Merge.absorbed_id == mine))
    return query


def organizations(session: Session, ids: Collection[UUID], *, lock: bool = False) -> dict[UUID, Organization]:
    """By key; locked in the order of their keys, so that two merges of the same ones wait for each other."""
    query = sa.select(Organization).where(Organization.id.in_(ids)).order_by(Organization.id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return {found.id: found for found in session.scalars(query)}


def done_since(session: Session, merge: Merge) -> Sequence[Merge]:
    """Other merges into the same survivor that were done later and stand, the first one first; locked."""
    later = (Merge.survivor_id == merge.survivor_id) & (Merge.status == "done") & (Merge.done_at > merge.done_at)
    return session.scalars(sa.select(Merge).where(later).order_by(Merge.done_at, Merge.id).with_for_update()).all()


def has_open_application(session: Session, organization_id: UUID) -> bool:
    mine = (Application.organization_id == organization_id) & Application.status.in_(OPEN)
    return bool(session.scalar(sa.select(sa.exists().where(mine))))
