"""The sign of life of a process that answers no HTTP: a file it touches while its loop turns, whose age a health check sees."""

from pathlib import Path
from typing import Any

from celery import signals
from celery.beat import PersistentScheduler


def touch(path: Path | None) -> None:
    """Says that the loop has turned. Does nothing when no file is configured."""
    if path is not None:
        path.touch()


def of_worker(path: Path | None) -> None:
    """Touches the file every 2 s while a worker's main loop runs and holds its connection to Redis."""

    def on_heartbeat(**_: object) -> None:
        touch(path)

    signals.heartbeat_sent.connect(on_heartbeat, weak=False)


class Scheduler(PersistentScheduler):  # type: ignore[misc]  # Celery has no types
    """Celery's beat, touching the file that `heartbeat_file` of its configuration names at each look at the timetable."""

    def tick(self, *args: Any, **options: Any) -> Any:
        touch(self.app.conf.heartbeat_file)
        return super().tick(*args, **options)
