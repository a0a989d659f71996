"""Background work: opens a transaction, calls a use case, speaks to other servers outside of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from tejido_notifications.channels import Channel
from tejido_notifications.channels.configured import channels
from tejido_notifications.db import tx
from tejido_notifications.delivery import digests, queries, sending, service
from tejido_notifications.delivery.senders import Sender, sender
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
    is spoken to. Every message is sent once, but where the server took it and we ended, lost PostgreSQL for long, or the line broke, before
    that was on record. Then it is sent again under the same id.
    """
    with tx() as session:
        digests.gather(session)
    with tx() as session:
        wanted = queries.channels_with_work(session, list(channels()))
    found = {name: channels()[name] for name in wanted}
    with ExitStack() as stack:
        # Slow receivers hold up one worker process at most: the others go on sending mail and taking events in.
        if "webhook" in found and stack.enter_context(sender("webhooks of one process", 1)) is None:
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
    with sender(name, channel.slots) as us:
        if us is None:
            return False
        with tx() as session:
            service.take_over(session, name, us.number)
        try:
            return _send_until(time.monotonic() + RUN_SECONDS, name, channel, us, at_work)
        finally:
            at_work.discard(us.number)


def _send_until(until: float, name: str, channel: Channel, us: Sender, at_work: set[int]) -> bool:
    with channel.open() as line, sending.Talk(name, channel, line, us, until) as talk:
        while talk.goes_on():
            message = talk.next()
            if message is not None:
                at_work.add(us.number)
                if not talk.send(message):
                    return False  # the server is in trouble: the next run asks it again
                continue
            at_work.discard(us.number)
            if not at_work:
                return not us.held()
            time.sleep(PAUSE)
    return True
