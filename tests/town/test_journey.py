"""The journey in one process: every service's real code, real databases, a real Redis and SMTP, a moved clock, no waiting."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from tests.town.journey import real_or_invented_register, travel

from tejido_local.processes import free_port
from tejido_local.running import RunningTown, answers
from tejido_shared import clock
from tejido_shared.contracts import SERVICES
from tejido_shared.db import Database
from tejido_shared.settings import CommonSettings
from tejido_shared.testing import Issuer, TownInOneProcess, wait_until

FRIDAY_EVENING = datetime.fromisoformat("2026-03-27T18:30:00-05:00")
# Late from midnight; told when the offices are open.
THE_MORNING_AFTER = datetime.fromisoformat("2026-04-22T08:30:00-05:00")


class InOneProcess:
    received_in_the_past = False

    def __init__(
        self, databases: dict[str, Database], issuer: Issuer, mailbox: str, clients: dict[str, TestClient]
    ) -> None:
        import tejido_notifications.worker
        import tejido_projects.worker
        import tejido_registry.worker
        import tejido_requests.worker

        workers = {
            "registry": tejido_registry.worker.app,
            "projects": tejido_projects.worker.app,
            "requests": tejido_requests.worker.app,
            "notifications": tejido_notifications.worker.app,
        }
        self._town = TownInOneProcess(workers, databases, CommonSettings())
        self._issuer, self._mailbox, self._clients = issuer, mailbox, clients

    def call(self, method: str, service: str, path: str, who: str | None = None, **options: Any) -> Any:
        groups = {"funcionaria": "funcionario:atencion-ciudadania"}
        if who is not None:
            options["headers"] = {**self._issuer.headers(groups.get(who, who)), **options.get("headers", {})}
        return self._clients[service].request(method, path, **options)

    def mails(self, to: str) -> list[dict[str, Any]]:
        page = httpx2.get(f"{self._mailbox}/messages", params={"to": to}).json()["messages"]
        return [httpx2.get(f"{self._mailbox}/messages/{mail['number']}").json() for mail in page]

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Runs the timetable and lets the town come to rest; nothing is waited for."""
        from tejido_notifications.delivery import tasks as notifications
        from tejido_requests.clocks import tasks as requests

        requests.announce()
        self._town.until_quiet(notifications.send_due)
        assert condition(), what

    def at(self, instant: datetime) -> Any:
        return clock.moved_to(instant)


@pytest.fixture
def mailbox(
    tmp_path: Path, databases: dict[str, Database], issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    from tejido_notifications.channels.configured import channels
    from tejido_notifications.settings import settings

    def read_anew() -> None:
        settings.cache_clear()
        channels.cache_clear()

    smtp, web = free_port(), free_port()
    town = RunningTown("test_mailbox", tmp_path, issuer)
    town.start(
        "mailbox",
        "-m",
        "tejido_local.mailbox",
        "--smtp-port",
        str(smtp),
        "--web-port",
        str(web),
        "--directory",
        str(tmp_path / "mail"),
    )
    url = f"http://127.0.0.1:{web}"
    wait_until(lambda: answers(f"{url}/messages"), 20, "the mailbox")
    for name, value in (("HOST", "127.0.0.1"), ("PORT", str(smtp)), ("SECURITY", "none")):
        monkeypatch.setenv(f"NOTIFICATIONS_SMTP_{name}", value)
    read_anew()
    yield url
    read_anew()
    town.close()


def test_the_journey(databases: dict[str, Database], issuer: Issuer, mailbox: str, tmp_path: Path) -> None:
    import importlib

    handouts = Path(os.environ.get("TEJIDO_HANDOUTS", Path(__file__).parent.parent.parent.parent / "shared"))
    with ExitStack() as stack:
        clients = {
            service: stack.enter_context(TestClient(importlib.import_module(f"tejido_{service}.app").create_app()))
            for service in SERVICES
        }
        town = InOneProcess(databases, issuer, mailbox, clients)
        register = real_or_invented_register(handouts / "data", tmp_path)
        travel(
            town,
            register,
            FRIDAY_EVENING,
            "2026-04-21",
            "martes, 21 de abril de 2026",
            THE_MORNING_AFTER,
            "Jueves Santo",
        )
    assert sys.modules["tejido_shared.clock"].now() - datetime.now(FRIDAY_EVENING.tzinfo) < timedelta(seconds=1)
