"""Streams of new messages. One poller of a process looks for all of its open streams; none of them holds a connection while idle."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextvars import Context
from functools import cache
from typing import TypeVar

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError

from tejido_notifications.db import read
from tejido_notifications.in_app import queries, schemas

log = structlog.get_logger()
EVERY = 1.0
"""Seconds between two looks into the boxes."""
AT_ONCE = 100
"""Messages a stream takes out of the database at a time."""
Found = TypeVar("Found")


class _Stream:
    """One open stream: its boxes, the number of the last message it was given, and whether there are more."""

    def __init__(self, boxes: list[str], after: int) -> None:
        self.boxes, self.after = boxes, after
        self.more = asyncio.Event()


_open: set[_Stream] = set()
_poller: asyncio.Task[None] | None = None


async def messages(boxes: list[str], after: int | None, until: float) -> AsyncIterator[schemas.InAppMessageOut]:
    """The messages of these boxes with numbers above `after`, each once and in order, as they come; without `after` those from now on.
    Ends at `until`, in seconds of `time.time()`, or when the database is away: whoever comes again goes on from there."""
    global _poller
    try:
        begin = max((await _in_thread(lambda: _newest(boxes))).values(), default=0) if after is None else after
    except SQLAlchemyError:
        return
    stream = _Stream(boxes, begin)
    _open.add(stream)
    if _poller is None or _poller.done():
        _poller = asyncio.create_task(
            _poll(), context=Context()
        )  # it is no part of the request that happens to start it
    stream.more.set()
    try:
        while (left := until - time.time()) > 0:
            try:
                await asyncio.wait_for(stream.more.wait(), left)
                stream.more.clear()
                found = await _in_thread(lambda: _after(boxes, stream.after))
            except (TimeoutError, SQLAlchemyError):
                return
            if len(found) == AT_ONCE:
                stream.more.set()
            for message in found:
                yield message
                stream.after = message.sequence
    finally:
        _open.discard(stream)
        if not _open and _poller is not None:
            _poller.cancel()
            _poller = None


async def _poll() -> None:
    """Wakes the streams for which there is something new. What is put into boxes shows in the order of its numbers (`service.put`),
    so whatever is above a stream's last number was not given to it, and nothing below will come."""
    while True:
        await asyncio.sleep(EVERY)
        asked = list({box for stream in _open for box in stream.boxes})
        try:
            newest = await _in_thread(lambda boxes=asked: _newest(boxes))  # type: ignore[misc]
        except SQLAlchemyError as error:
            log.info("boxes_unreadable", error=type(error).__name__)
            continue
        for stream in _open:
            if any(newest.get(box, 0) > stream.after for box in stream.boxes):
                stream.more.set()


def _newest(boxes: list[str]) -> dict[str, int]:
    with read() as session:
        return queries.newest(session, boxes)


def _after(boxes: list[str], sequence: int) -> list[schemas.InAppMessageOut]:
    with read() as session:
        found = queries.after(session, boxes, sequence, AT_ONCE)
        return [schemas.InAppMessageOut.model_validate(message) for message in found]


async def _in_thread(act: Callable[[], Found]) -> Found:
    return await run_sync(act, limiter=_threads())


@cache
def _threads() -> CapacityLimiter:
    """Few, and none of those that serve requests: however many streams are open, they hold two connections at most."""
    return CapacityLimiter(2)
