"""The one clock. Everything that asks for the time asks here, so a test can move it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

_offset = timedelta()


def now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC) + _offset


@contextmanager
def moved_to(instant: datetime) -> Iterator[None]:
    """Within the block the clock shows `instant` and runs on from there. For tests in one process."""
    global _offset
    before = _offset
    _offset = instant - datetime.now(UTC)
    try:
        yield
    finally:
        _offset = before
