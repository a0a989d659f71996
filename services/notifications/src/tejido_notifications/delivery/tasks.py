"""Background work: opens a transaction, calls a use case, speaks to other servers outside of it."""

import select
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

import psycopg

from tejido_notifications.channels import Channel
from tejido_notifications.channels.configured import channels
from tejido_notifications.db import database, tx
from tejido_notifications.delivery import digests, queries, sending, service
from tejido_notifications.settings import settings

SEND_DUE = "notifications.send_due"
TIMETABLE = {SEND_DUE: 1.0}
"""Seconds between two runs of a task."""
RUN_SECONDS = 2.0
"""As long may anything else wait that this worker has to do."""
PAUSE = 0.2
"""Seconds after which an idle line looks again."""


def send_due() -> bool:
    """Sends what is due by every channel, for a few seconds at most. Returns whether there may be more to send.

    Each line of a channel is a thread of its own, so that a slow one holds up no other; a run has its share of them, so that they are
    of several processes and do not wait for each other's Python. No transaction is open while another server
    is spoken to. Every message is sent once, but for one case that nobody can rule out: the server took it and we ended, or the line
    broke, before that was on record. Then it is sent again under the same id.
    """
    with tx() as session:
        digests.gather(session)
    with tx() as session:
        wanted = queries.channels_with_work(session, list(channels()))
    found = {name: channels()[name] for name in wanted}
    with ExitStack() as stack:
        # Slow receivers hold up one worker process at most: the others go on sending mail and taking events in.
        if "webhook" in found and stack.enter_context(_sender("webhooks of one process", 1)) is None:
            del found["webhook"]
        at_work: dict[str, set[int]] = {name: set() for name in found}
        lines = [
            partial(_send, name, channel, at_work[name])
            for name, channel in found.items()
            for _ in range(_share(name, channel))
        ]
        if not lines:
            return False
        with ThreadPoolExecutor(len(lines), thread_name_prefix="line") as pool:
            sending = [pool.submit(line) for line in lines]
        return any(line.result() for line in sending)


def _share(name: str, channel: Channel) -> int:
    """Lines of one run, so that the processes of one worker have all of them together. Only one process may call subscribed systems."""
    return channel.slots if name == "webhook" else -(-channel.slots // settings().worker_concurrency)


def _send(name: str, channel: Channel, at_work: set[int]) -> bool:
    """Sends what is due over one line of a channel, if one is free. Returns whether there may be more to send.

    `at_work`: the numbers of this run's lines that are speaking. While one is, the run goes on, and the others wait for what comes.
    """
    with _sender(name, channel.slots) as sender:
        if sender is None:
            return False
        with tx() as session:
            service.take_over(session, name, sender.number)
        try:
            return _send_until(time.monotonic() + RUN_SECONDS, name, channel, sender, at_work)
        finally:
            at_work.discard(sender.number)


def _send_until(until: float, name: str, channel: Channel, sender: "_Sender", at_work: set[int]) -> bool:
    with channel.open() as line, sending.Talk(name, channel, line, sender.number, sender.connection) as talk:
        while time.monotonic() < until and sender.held():
            message = talk.next()
            if message is not None:
                at_work.add(sender.number)
                if not talk.send(message):
                    return False  # the server is in trouble: the next run asks it again
                continue
            at_work.discard(sender.number)
            if not at_work:
                return False
            time.sleep(PAUSE)
    return True


@dataclass(frozen=True)
class _Sender:
    """Who holds a number."""

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
def _sender(channel: str, slots: int) -> Iterator[_Sender | None]:
    """The number of a sender that nobody is, ours until the block or this process ends; none when all are taken.

    A lock of PostgreSQL's, which ends with the session: what a killed sender held is known at once to be nobody's.
    """
    key = crc32(f"sender of {channel}".encode()) - 2**31
    # A connection of its own: those of the pool are for what the lines have to write down.
    with database.connect() as connection:
        # A sender whose machine vanished without a word is noticed within a minute.
        connection.execute(
            "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3"
        )
        for number in range(slots):
            row = connection.execute("select pg_try_advisory_lock(%s, %s)", (key, number)).fetchone()
            if row is not None and row[0]:
                yield _Sender(number, connection)
                with suppress(psycopg.Error):  # it would be free once PostgreSQL has noticed that we left: not at once
                    connection.execute("select pg_advisory_unlock(%s, %s)", (key, number))
                return
        yield None
