"""Boxes: what is put into them and what its owner has read. Each takes a session, none commits."""

import re
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_notifications.models import InAppMessage
from tejido_shared.auth import Principal
from tejido_shared.clock import now

_BOX = re.compile(r"(account|office|head):\S{1,200}")
_ONE_AT_A_TIME = 4_100_417_202
"""Number of PostgreSQL's lock under which messages are put into boxes."""


def is_box(name: str) -> bool:
    return _BOX.fullmatch(name) is not None


def boxes_of(principal: Principal) -> list[str]:
    """The boxes whose owner this is: its own, and those of its offices and of the offices it heads."""
    offices = (*(f"office:{code}" for code in principal.offices), *(f"head:{code}" for code in principal.headed))
    return [f"account:{principal.subject}", *sorted(offices)]


def put(session: Session, message_id: UUID, *, box: str, about: UUID, title: str, body: str) -> None:
    """Puts a message into a box, unless it is there.

    One at a time, over all processes, until the transaction ends: so messages become visible in the order of their numbers, and who
    has seen one has missed none before it.
    """
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
    row = insert(InAppMessage).values(id=message_id, box=box, about=about, title=title, body=body, at=now())
    session.execute(row.on_conflict_do_nothing(index_elements=["id"]))


def read(session: Session, message: InAppMessage) -> None:
    """Marks a message as read; nothing happens the second time. An office's message is then read for all of the office."""
    message.read_at = message.read_at or now()
    session.flush()


def read_all(session: Session, boxes: list[str], up_to: int) -> None:
    """Marks the messages of these boxes as read, up to the one of this number: what came after it was not seen yet."""
    unread = sa.update(InAppMessage).where(
        InAppMessage.box.in_(boxes), InAppMessage.sequence <= up_to, InAppMessage.read_at.is_(None)
    )
    session.execute(unread.values(read_at=now()))
