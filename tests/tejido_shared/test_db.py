"""A service's connections."""

import threading
import time
from types import SimpleNamespace

import pytest

from tejido_shared import db
from tejido_shared.db import Database


def test_a_database_that_is_just_waking_its_relay_closes(
    databases: dict[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering, sleep = threading.Event(), time.sleep

    def gather(_: float) -> None:
        gathering.set()
        sleep(0.2)  # in which the database is closed

    monkeypatch.setattr(db, "time", SimpleNamespace(sleep=gather, monotonic=time.monotonic))
    databases["requests"].wake_relay()
    waker = databases["requests"]._waker
    assert waker is not None
    assert gathering.wait(10)
    databases["requests"].close()
    assert not waker._thread.is_alive()  # those of other databases may be at work
