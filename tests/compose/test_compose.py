"""The municipality's deployment, brought up once from its own images, used from outside, scaled, restored and taken down.

It has a project name, ports, secrets and volumes of its own, so it meets no other deployment on this machine.
"""

import itertools
import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx2
import pytest
from tests.town.journey_http import journey

from tejido_local import secrets
from tejido_local.processes import free_port
from tejido_shared.contracts import SERVICES

ROOT = Path(__file__).parents[2]
DATABASES = (*SERVICES, "identity")
Found = TypeVar("Found")


def _why_not() -> str:
    """Why these tests cannot run here; empty if they can."""
    if shutil.which("docker") is None:
        return "no docker command"
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        return "docker has no compose"
    asked = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False, timeout=30)
    return f"no Docker engine answers: {asked.stderr.strip()[-200:]}" if asked.returncode else ""


_REASON = _why_not()
pytestmark = [pytest.mark.containers, pytest.mark.skipif(bool(_REASON), reason=_REASON)]


@dataclass(frozen=True)
class Town:
    """A deployment: `origin` is the gateway's, `mailbox` shows its mail, `values` are its secrets."""

    environment: dict[str, str] = field(repr=False)
    values: dict[str, str] = field(repr=False)
    origin: str
    mailbox: str

    def run(self, *command: str, **options: Any) -> str:
        """A command in the project's environment; returns its output, fails the test with all of it if it fails."""
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False, **options
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def compose(self, *arguments: str, **options: Any) -> str:
        return self.run("docker", "compose", *arguments, **options)

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """What Docker knows of the containers, those that have ended included."""
        ids = self.compose("ps", "--all", "--quiet", *services).split()
        return list(json.loads(self.run("docker", "inspect", *ids)))

    def up(self, *arguments: str) -> None:
        """Brings everything up and waits until it is healthy."""
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", "300", *arguments, timeout=900)
        except AssertionError as error:
            logs = self.compose("logs", "--no-color", "--tail", "15")
            raise AssertionError(f"{error}\n{self.compose('ps', '--all')}\n{logs[-20000:]}") from None

    def sql(self, database: str, query: str) -> str:
        return self.compose("exec", "-T", "postgres", "psql", "-U", "postgres", "-d", database, "-Atc", query).strip()

    @property
    def urls(self) -> dict[str, str]:
        """Where each service is, by name, as `./tejido up` has them too."""
        services = {name: f"{self.origin}/{name}" for name in SERVICES}
        return {**services, "identity": f"{self.origin}/identidad", "mailbox": self.mailbox}


def _environment(folder: Path) -> Town:
    values = secrets.new()
    ports = {f"TEJIDO_{name}_PORT": str(free_port()) for name in ("HTTP", "HTTPS", "MAILBOX")}
    lines = {
        **values,
        **ports,
        "COMPOSE_PROFILES": "demo",
        "IDENTITY_SAMPLE": "1",
        "TEJIDO_VERSION": "test",
        "TEJIDO_RATE_LIMIT": "6000/minute",
        "TEJIDO_FRONT_SUBNET": f"10.89.{random.randrange(128, 255)}.0/24",
    }
    file = folder / "env"
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    # Nothing else of this process's environment: there, Compose would find other values of the same names.
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("DOCKER_")}
    project = {"COMPOSE_PROJECT_NAME": f"tejido-test-{uuid4().hex[:8]}", "COMPOSE_ENV_FILES": str(file)}
    return Town(
        kept | project,
        values,
        f"http://localhost:{ports['TEJIDO_HTTP_PORT']}",
        f"http://localhost:{ports['TEJIDO_MAILBOX_PORT']}",
    )


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The deployment, up and healthy."""
    town = _environment(tmp_path_factory.mktemp("town"))
    try:
        town.up("--build")
        yield town
    finally:
        town.compose("--profile", "*", "down", "--volumes", "--timeout", "20")


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(timeout=30, trust_env=False) as client:
        yield client


def _until(look: Callable[[], Found], seconds: float = 30) -> Found:
    """What `look` gives, as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.2)
    assert found, f"not within {seconds} s"
    return found


def _file(town: Town, http: httpx2.Client, email: str) -> dict[str, Any]:
    answer = http.post(
        f"{town.origin}/requests/v1/service-requests",
        json={"subject": "La luminaria de la esquina", "petitioner": {"name": "Ana Peña", "email": email}},
        headers={"Idempotency-Key": str(uuid4())},
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _mails(town: Town, http: httpx2.Client, email: str) -> list[dict[str, Any]]:
    """All mail to this address, the newest first; the mailbox shows a hundred at a time."""
    found: list[dict[str, Any]] = []
    while True:
        asked = {"to": email} | ({"before": str(found[-1]["number"])} if found else {})
        page = http.get(f"{town.mailbox}/messages", params=asked).json()["messages"]
        if not page:
            return found
        found += page


def _tracking(town: Town, http: httpx2.Client, receipt: dict[str, Any]) -> httpx2.Response:
    return http.get(
        f"{town.origin}/requests/v1/tracking/{receipt['number']}", headers={"Tracking-Code": receipt["tracking_code"]}
    )


def test_without_secrets_compose_refuses_and_says_what_to_run(tmp_path: Path) -> None:
    empty = tmp_path / "env"
    empty.touch()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(
        ["docker", "compose", "--env-file", str(empty), "up"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "run ./tejido secrets" in done.stderr


def test_all_are_healthy_and_confined(town: Town) -> None:
    containers = town.containers()
    assert len(containers) == 5 + 4 * len(SERVICES) + 1 + len(DATABASES)  # notifications has a sender too
    for container in containers:
        name, host = container["Name"], container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"], name
        if not container["State"]["Running"]:
            assert container["State"]["ExitCode"] == 0, name
            continue
        assert container["State"]["Health"]["Status"] == "healthy", name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        rows = [row.split() for row in town.run("docker", "top", container["Id"], "-eo", "pid,uid").splitlines()[1:]]
        assert dict(rows)[str(container["State"]["Pid"])] != "0", name


def test_no_role_reaches_another_database(town: Town) -> None:
    reached = set()
    for role, database in itertools.product(DATABASES, (*DATABASES, "postgres", "template1")):
        url = f"postgresql://{role}:{town.values[f'{role.upper()}_DB_PASSWORD']}@127.0.0.1/{database}"
        command = ["docker", "compose", "exec", "-T", "postgres", "psql", url, "-Atc", "select current_user"]
        done = subprocess.run(command, env=town.environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            reached.add((role, database))
        else:
            assert "permission denied for database" in done.stderr
    assert reached == {(name, name) for name in DATABASES}


def test_the_gateway_lets_only_the_apis_out(town: Town, http: httpx2.Client) -> None:
    assert http.get(f"{town.origin}/health").text == "ok"
    for service in SERVICES:
        document = http.get(f"{town.origin}/{service}/v1/openapi.json")
        assert document.status_code == 200
        assert document.json()["servers"] == [{"url": f"/{service}"}]
        for path in ("metrics", "health/ready", "health/live", "v1/../metrics", "v1/%2e%2e/metrics"):
            assert http.get(f"{town.origin}/{service}/{path}").status_code == 404
    large = http.post(f"{town.origin}/requests/v1/service-requests", content=b"x" * 11_000_000)
    assert large.status_code == 413
    page = http.get(f"{town.origin}/seguimiento/BOG-2026-000001-75")
    assert (page.status_code, page.headers["Referrer-Policy"]) == (200, "no-referrer")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    wrong = http.post(f"{town.origin}/seguimiento", data={"number": "BOG-2026-000001-75", "code": "WRONG"})
    assert (wrong.status_code, wrong.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    page = http.get(f"{town.origin}/constancia")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    answer = http.get(f"{town.origin}/requests/v1/request-types")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "Server" not in answer.headers


def test_the_journey(town: Town) -> None:
    journey(town.urls)


def test_a_killed_process_comes_back_and_redis_may_go_away(town: Town, http: httpx2.Client) -> None:
    for service in ("requests-worker", "requests-relay", "notifications-worker", "notifications-sender"):
        town.compose("exec", "-T", service, "sh", "-c", "kill -9 -1 || true")
    before = _file(town, http, "muertos@tejido.example")
    town.compose("stop", "redis")
    # Nothing of it is the truth: it may even lose what it has.
    town.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", "redis", "-c", "rm -rf /data/*")
    during = _file(town, http, "sin-redis@tejido.example")
    town.compose("start", "redis")
    for email, receipt in (("muertos@tejido.example", before), ("sin-redis@tejido.example", during)):
        mails = _until(lambda email=email: _mails(town, http, email), 60)
        assert [receipt["number"] in mail["subject"] for mail in mails] == [True]


def test_three_workers_and_two_apis_share_the_work(town: Town, http: httpx2.Client) -> None:
    town.up("--no-build", "--scale", "requests-worker=3", "--scale", "requests-api=2")
    count, email = 120, "reparto@tejido.example"
    local = threading.local()

    def file_one(_: int) -> None:
        if not hasattr(local, "http"):
            local.http = httpx2.Client(timeout=30, trust_env=False)
        _file(town, local.http, email)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(file_one, range(count)))
    _until(lambda: len(_mails(town, http, email)) >= count, 90)
    _until(lambda: town.sql("requests", "select count(*) from outbox") == "0")
    assert len(_mails(town, http, email)) == count

    apis = [town.run("docker", "logs", each["Id"]) for each in town.containers("requests-api")]
    filed = [log.count('"POST", "route": "/v1/service-requests", "status": 201') for log in apis]
    stats = town.compose(
        *("exec", "-T", "requests-worker", "celery", "--quiet", "-A", "tejido_requests.worker"),
        *("inspect", "stats", "--json", "--timeout", "5"),
    )
    hosts = {each["Config"]["Hostname"] for each in town.containers("requests-worker")}
    totals = {name.partition("@")[2]: sum(one["total"].values()) for name, one in json.loads(stats).items()}
    done = {host: totals[host] for host in hosts}
    print(f"filed by each API: {filed}; tasks done by each worker: {sorted(done.values())}")
    assert len(filed) == 2
    assert min(filed) > 0
    assert len(done) == 3
    assert min(done.values()) > 0
    journey(town.urls)


def test_backup_and_restore_of_one_moment(town: Town, http: httpx2.Client, tmp_path: Path) -> None:
    town.compose("stop", "notifications-worker")
    kept = _file(town, http, "en-vuelo@tejido.example")
    folder = town.run("deploy/backup", str(tmp_path)).strip()
    lost = _file(town, http, "despues@tejido.example")
    town.run("deploy/restore", folder, timeout=600)
    assert _tracking(town, http, kept).status_code == 200
    assert _tracking(town, http, lost).status_code == 404
    # What was in flight at that moment arrives; what came after it never does.
    _until(lambda: _mails(town, http, "en-vuelo@tejido.example"))
    assert not _mails(town, http, "despues@tejido.example")
    journey(town.urls)
