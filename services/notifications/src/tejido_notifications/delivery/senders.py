"""Who sends: each line of a channel has a number, which nobody else has while it is at work."""

import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import psycopg
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_notifications.db import database
from tejido_notifications.models import Delivery


@dataclass(frozen=True)
class Sender:
    """Who holds a number, by a lock of the connection's session."""

    number: int
    connection: psycopg.Connection[Any]

    def held(self) -> bool:
        """Whether the number is still ours. PostgreSQL says a word on the line, or hangs up, when it ends the session, and else nothing."""
        if self.connection.closed:
            return False
        line = select.poll()
        line.register(self.connection.fileno(), select.POLLIN)
        return not line.poll(0)


@contextmanager
def sender(channel: str, slots: int) -> Iterator[Sender | None]:
    """The number of a sender that nobody is, ours until the block or this process ends; none when all are taken.

    A lock of PostgreSQL's, which ends with the session: what a killed sender held is known at once to be nobody's.
    """
    key = _key(channel)
    # A connection of its own: those of the pool are for what the lines have to write down.
    with database.connect() as connection:
        # A sender whose machine vanished without a word is noticed within a minute.
        connection.execute(
            "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3"
        )
        for number in range(slots):
            row = connection.execute("select pg_try_advisory_lock(%s, %s)", (key, number)).fetchone()
            if row is not None and row[0]:
                yield Sender(number, connection)
                with suppress(psycopg.Error):  # it would be free once PostgreSQL has noticed that we left: not at once
                    connection.execute("select pg_advisory_unlock(%s, %s)", (key, number))
                return
        yield None


def gone(session: Session, channel: str, own: int) -> list[int]:
    """The numbers under which messages of the channel are being sent though nobody has them; and our own, which is newly ours.

    They are kept from others until the transaction ends.
    """
    sending = sa.select(Delivery.sender).where(Delivery.status == "sending", Delivery.channel == channel).distinct()
    others = [number for number in session.scalars(sending) if number is not None and number != own]
    lock = sa.func.pg_try_advisory_xact_lock
    return [own, *(number for number in others if session.scalar(sa.select(lock(_key(channel), number))))]


def _key(channel: str) -> int:
    return crc32(f"sender of {channel}".encode()) - 2**31
