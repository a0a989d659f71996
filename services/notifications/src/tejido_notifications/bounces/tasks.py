"""Background work: opens a transaction, calls a use case, speaks to the mailbox outside of it."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from tejido_notifications.bounces import dsn, mailbox, service
from tejido_notifications.bounces.reports import Report
from tejido_notifications.db import tx
from tejido_notifications.settings import settings

log = structlog.get_logger()
READ_MAILBOX = "notifications.read_mailbox"
TIMETABLE = {READ_MAILBOX: 60.0}
"""Seconds between two runs of a task."""
RUN_SECONDS = 120.0
_REMEMBERED = 100_000
_left: set[str] = set()
"""Names of mails that are not reports on our messages: this process does not fetch them again."""
_broke: Counter[str] = Counter()
_ENOUGH = 3


def read_mailbox() -> int:
    """Takes note of the bounces in the mailbox and deletes them. Returns how many there were.

    Each is deleted when what it says is committed, so that one may be read twice, which changes nothing, but none is lost. What is no
    report on a message of ours is left alone. A mailbox that is away is read the next time.
    """
    url = settings().bounce_url.get_secret_value()
    if not url:
        return 0
    try:
        at = mailbox.where(url)
    except ValueError:
        log.error("bounce_url_unusable")  # noqa: TRY400 - the error would add nothing, and its trace the address
        return 0
    until, handled = time.monotonic() + RUN_SECONDS, 0
    with _forgiving(), mailbox.opened(at) as box:
        for name in box.names():
            if time.monotonic() > until:
                break
            if name in _left:
                continue
            told = _read(box, name)
            if told is None:
                continue
            with tx() as session:
                service.report(session, told)
            box.delete(name)
            handled += 1
    if handled:
        log.info("bounces_read", count=handled)
    return handled


def _read(box: mailbox.Mailbox, name: str) -> Report | None:
    """The report in a mail. One that is none, or breaks the line again and again, is not fetched any more: others wait behind it."""
    if len(_left) + len(_broke) >= _REMEMBERED:
        _left.clear()
        _broke.clear()
    try:
        told = dsn.read(box.read(name))
    except mailbox.AWAY:
        _broke[name] += 1
        if _broke[name] >= _ENOUGH:
            _left.add(name)
        raise
    if told is None:
        _left.add(name)
    return told


@contextmanager
def _forgiving() -> Iterator[None]:
    try:
        yield
    except mailbox.AWAY as error:
        log.info("bounce_mailbox_away", error=type(error).__name__)  # its words may quote a mail, or who logs in
