"""A town of real processes, for tests that kill them one by one and for measuring."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2

from tejido_local.paths import ROOT
from tejido_local.processes import free_port, port_is_free, workers_of
from tejido_local.redis import Redis
from tejido_shared.db import Database
from tejido_shared.manage import upgrade
from tejido_shared.settings import ServiceSettings
from tejido_shared.testing import Issuer, town_environment, wait_until


class RunningTown:
    """Databases, a Redis of its own, and the processes a test starts. What they print is in `directory`.

    A worker that ends by itself is started again, as Compose and `./tejido up` do: Celery's may end when Redis goes away at a bad moment.
    What the test kills stays down, and so does every other process that ends.
    """

    def __init__(self, name: str, directory: Path, issuer: Issuer, **environment: str) -> None:
        self.directory = directory
        self.redis = Redis(directory / "redis", _port_to_come_back_to(), "secret")
        self.redis.start()
        self.environment = {
            **os.environ,
            **town_environment(name, issuer, str(ROOT / "jurisdictions" / "co-bogota")),
            "TEJIDO_BROKER_URL": self.redis.url,
            **environment,
        }
        self.urls: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, Callable[[], subprocess.Popen[bytes]]] = {}
        self._workers: set[str] = set()
        self.restarts: Counter[str] = Counter()
        """How often each worker had ended by itself."""
        self._changing = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._start_again, name="supervisor", daemon=True).start()
        self._databases: dict[str, Database] = {}

    def database(self, service: str) -> Database:
        """A connection of the test's own to a service's database."""
        if service not in self._databases:
            url = self.environment[f"{service.upper()}_DATABASE_URL"]
            settings = ServiceSettings.model_validate({"database_url": url, "database_pool": 5})
            self._databases[service] = Database(lambda: settings)
        return self._databases[service]

    def migrate(self, *services: str) -> None:
        """Brings these services' databases to this version; in this process, for one of its own would take seconds to start."""
        for service in services:
            upgrade(f"tejido_{service}", self.database(service))

    def run(self, *arguments: str) -> str:
        """Runs Python to its end and returns what it printed; raises if it failed."""
        done = subprocess.run(
            [sys.executable, *arguments], env=self.environment, check=False, capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        def begin() -> subprocess.Popen[bytes]:
            with (self.directory / f"{name}.log").open("ab") as log:
                return subprocess.Popen(
                    [sys.executable, *arguments],
                    env={**self.environment, **environment},
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

        with self._changing:
            self._started[name], self._processes[name] = begin, begin()

    def _start_again(self) -> None:
        while not self._closed.wait(1):
            with self._changing:
                for name in self._workers & self._processes.keys():
                    process = self._processes[name]
                    if process.poll() is not None:
                        _kill_all_of(process)
                        self._processes[name] = self._started[name]()
                        self.restarts[name] += 1

    def start_api(self, service: str, name: str | None = None) -> str:
        port = free_port()
        self.start(
            name or f"{service}-api",
            "-m",
            "uvicorn",
            f"tejido_{service}.app:create_app",
            "--factory",
            "--port",
            str(port),
            "--no-access-log",
        )
        self.urls[service] = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{self.urls[service]}/health/ready"), 30, f"the API of {service}")
        return self.urls[service]

    def start_relay(self, service: str, name: str | None = None) -> None:
        self.start(name or f"{service}-relay", "-m", f"tejido_{service}", "relay")

    def start_workers(self, service: str) -> list[str]:
        """The workers of a service as it is deployed. Returns their names."""
        for name, options in workers_of(service).items():
            self.start_worker(f"tejido_{service}.worker", name, *options)
        return list(workers_of(service))

    def start_worker(self, app: str, name: str, *options: str, **environment: str) -> None:
        self.start(
            name,
            *_CELERY,
            app,
            "worker",
            "--without-mingle",
            "--without-gossip",
            "-c",
            "2",
            "-n",
            f"{name}@test",
            *options,
            **environment,
        )
        self._workers.add(name)

    def start_beat(self, service: str) -> None:
        schedule = self.directory / f"{service}-beat"
        self.start(f"{service}-beat", *_CELERY, f"tejido_{service}.worker", "beat", "-s", str(schedule))

    def start_service(self, service: str) -> None:
        """All four processes of a service."""
        self.start_api(service)
        self.start_relay(service)
        self.start_workers(service)
        self.start_beat(service)

    def said(self) -> str:
        """The last lines that each process printed."""
        logs = sorted(self.directory.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in logs)

    def kill(self, name: str) -> None:
        """SIGKILL to the process and all it started."""
        with self._changing:
            process = self._processes.pop(name)
        _kill_all_of(process)
        process.wait()

    def close(self) -> None:
        self._closed.set()
        for name in list(self._processes):
            self.kill(name)
        for database in self._databases.values():
            database.close()
        self.redis.stop()


def _kill_all_of(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


_CELERY = ("-m", "celery", "-A")


def _port_to_come_back_to() -> int:
    """Below those the system lends to outgoing connections, one of which could sit on it while the server is away."""
    while True:
        if port_is_free(port := random.randrange(20_000, 30_000)):
            return port


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False
