"""Whose dates have come."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload

from tejido_registry.models import Organization, Reminder
from tejido_shared.clock import now


def due(session: Session, today: date, limit: int) -> Sequence[Organization]:
    """Organizations to which the calendar has something to do, locked; without those another process has in hand."""
    query = sa.select(Organization).where(Organization.axes_due_on <= today)
    query = query.options(selectinload(Organization.contacts)).execution_options(populate_existing=True)
    ordered = query.order_by(Organization.axes_due_on, Organization.id).limit(limit)
    return session.scalars(ordered.with_for_update(skip_locked=True)).all()


def remember(session: Session, reminders: Sequence[dict[str, Any]]) -> set[tuple[UUID, str]]:
    """Writes reminders down, and returns of which organizations and kinds they had not been told before."""
    if not reminders:
        return set()
    rows = [one | {"at": now()} for one in reminders]
    new = insert(Reminder).values(rows).on_conflict_do_nothing()
    return {(key, kind) for key, kind in session.execute(new.returning(Reminder.organization_id, Reminder.kind))}
