"""What may be read: whatever lies in one of the caller's own boxes, and nothing else."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from tejido_notifications.models import InAppMessage

SORTABLE = {"sequence": InAppMessage.sequence}


def in_boxes(boxes: Sequence[str], *, unread: bool | None = None) -> sa.Select[InAppMessage]:
    query = sa.select(InAppMessage).where(InAppMessage.box.in_(boxes))
    if unread is not None:
        query = query.where(InAppMessage.read_at.is_(None) if unread else InAppMessage.read_at.is_not(None))
    return query


def one(session: Session, boxes: Sequence[str], message_id: UUID) -> InAppMessage | None:
    return session.scalar(in_boxes(boxes).where(InAppMessage.id == message_id).with_for_update())


def unread(session: Session, boxes: Sequence[str]) -> int:
    query = sa.select(sa.func.count()).where(InAppMessage.box.in_(boxes), InAppMessage.read_at.is_(None))
    return session.scalar(query) or 0


def after(session: Session, boxes: Sequence[str], sequence: int, limit: int) -> list[InAppMessage]:
    """The messages of these boxes with higher numbers, in their order."""
    query = in_boxes(boxes).where(InAppMessage.sequence > sequence).order_by(InAppMessage.sequence).limit(limit)
    return list(session.scalars(query))


def newest(session: Session, boxes: Sequence[str]) -> dict[str, int]:
    """The number of the last message of each of these boxes that has one: a look into the index for each."""
    box = sa.func.unnest(sa.cast(list(boxes), ARRAY(sa.Text))).column_valued("name")
    last = sa.select(sa.func.max(InAppMessage.sequence)).where(InAppMessage.box == box).scalar_subquery()
    return {name: number for name, number in session.execute(sa.select(box, last)) if number is not None}
