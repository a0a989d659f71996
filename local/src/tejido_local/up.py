"""`./tejido up`: the whole house on this machine, from PostgreSQL to the identity provider, until Ctrl-C."""

import fcntl
import importlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tejido_local import secrets
from tejido_local.identity import Identity
from tejido_local.paths import ROOT, SERVICES, STATE
from tejido_local.postgres import Postgres, PostgresError
from tejido_local.processes import Program, Supervisor, free_port, port_is_free, stop_leftovers, tail, workers_of
from tejido_local.redis import Redis, RedisError
from tejido_local.texts import language, say

if TYPE_CHECKING:
    from tejido_shared.jurisdiction import Jurisdiction

JURISDICTIONS = ROOT / "jurisdictions"
DEFAULT_JURISDICTION = "co-bogota"

_PORTS = {
    "gateway": 0,
    "registry": 1,
    "projects": 2,
    "requests": 3,
    "notifications": 4,
    "mailbox": 25,
    "smtp": 26,
    "postgres": 32,
    "redis": 37,
    "identity": 80,
}

_LOCK = STATE / "up.lock"
_RUNNING = STATE / "up.json"
_PACK = STATE / "jurisdiction"
_SECRETS = STATE / "secrets.env"
_LOGS = STATE / "log"
_PROGRAMS = STATE / "run"
_POSTGRES = STATE / "postgres"
_REDIS = STATE / "redis"
_IDENTITY = STATE / "identity"
_MAILBOX = STATE / "mailbox"
_FILES = STATE / "files"
_SAMPLE = STATE / "sample-loaded"

# What all our programs import. Nothing here starts a thread or reads the environment.
_PRELOAD = (
    "alembic.command",
    "alembic.autogenerate",
    "babel.dates",
    "celery.app.amqp",
    "celery.app.control",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.worker.components",
    "celery.worker.consumer",
    "cryptography.fernet",
    "email_validator",
    "fastapi",
    "fastapi.openapi.docs",
    "httptools",
    "httpx2",
    "jwt",
    "kombu.transport.redis",
    "limits.strategies",
    "prometheus_client",
    "psycopg",
    "sqlakeyset",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.orm",
    "structlog",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "tejido_shared.api",
    "tejido_shared.auth",
    "tejido_shared.jurisdiction",
    "tejido_shared.manage",
    "tejido_shared.relay",
    "tejido_shared.worker",
)


@dataclass(frozen=True)
class House:
    """What runs and where: given to `tejido_local.sample.load`. `environments` has, by service, all its variables."""

    jurisdiction: Path
    urls: Mapping[str, str]
    environments: Mapping[str, Mapping[str, str]]
    identity: Identity


class UpError(Exception):
    """Why the house cannot start. `code` and `params` are its text."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code, self.params = code, params


def up(jurisdiction: str | None, *, sample: bool, fresh: bool, port_base: int) -> int:
    """Run everything until Ctrl-C or SIGTERM; returns the exit code."""
    started = time.monotonic()
    STATE.mkdir(parents=True, exist_ok=True)
    with _alone() as alone:
        if not alone:
            _say_running()
            return 1
        _write_running({})
        # Celery's workers then finish or give back what they hold when told to stop.
        os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(signal.SIGHUP, signal.default_int_handler)
        try:
            return _run(jurisdiction, sample=sample, fresh=fresh, port_base=port_base, started=started)
        except KeyboardInterrupt:
            return 0
        except UpError as error:
            say(error.code, **error.params)
            return 1
        except (PostgresError, RedisError) as error:
            say("up.server_failed", error=error)
            return 1
        finally:
            _RUNNING.unlink(missing_ok=True)


def _run(jurisdiction: str | None, *, sample: bool, fresh: bool, port_base: int, started: float) -> int:
    if fresh:
        _forget()
    pack_path, pack = _choose_jurisdiction(jurisdiction)
    if os.path.lexists(_POSTGRES) and not _SECRETS.exists():
        raise UpError("up.secrets_lost", path=_SECRETS)
    secrets.complete(_SECRETS)
    values = secrets.read(_SECRETS)
    _LOGS.mkdir(exist_ok=True)

    # What a killed `up` left would hold the ports.
    stop_leftovers(_PROGRAMS, patience=3)
    stop_leftovers(_POSTGRES, signal.SIGINT)
    stop_leftovers(_REDIS)
    ports = _choose_ports(port_base)
    postgres = Postgres(_POSTGRES, ports["postgres"], values["POSTGRES_PASSWORD"], log=_LOGS / "postgres.log")
    redis = Redis(_REDIS, ports["redis"], values["REDIS_PASSWORD"], log=_LOGS / "redis.log")
    supervisor = Supervisor(_PROGRAMS, _LOGS, _announce, {"postgres": postgres, "redis": redis})

    say("up.servers", postgres=ports["postgres"], redis=ports["redis"])
    with postgres, redis, supervisor:
        postgres.create_databases({name: values[secrets.DATABASE_PASSWORDS[name]] for name in SERVICES})
        urls = {name: f"http://127.0.0.1:{ports[name]}" for name in ("gateway", *SERVICES, "mailbox", "identity")}
        identity = Identity(
            _IDENTITY,
            ports["identity"],
            urls["identity"],
            values,
            offices=tuple(office.code for office in pack.offices),
            smtp=f"127.0.0.1:{ports['smtp']}",
            time_zone=pack.time_zone,
        )
        common = {
            "TEJIDO_BROKER_URL": redis.url,
            "TEJIDO_JURISDICTION": str(pack_path),
            "TEJIDO_DATA_KEY": values["TEJIDO_DATA_KEY"],
            "TEJIDO_FILES": str(_FILES),
            "TEJIDO_PUBLIC_URL": urls["gateway"],
            "NOTIFICATIONS_SMTP_HOST": "127.0.0.1",
            "NOTIFICATIONS_SMTP_PORT": str(ports["smtp"]),
            "NOTIFICATIONS_SMTP_SECURITY": "none",
            "NOTIFICATIONS_PROOF_KEY": values["NOTIFICATIONS_PROOF_KEY"],
            **identity.service_environment(),
        }
        environments = {name: common | _database(name, postgres, values) for name in SERVICES}
        house = House(pack_path, urls, environments, identity)

        say("up.migrate")
        identity.prepare()
        supervisor.start(
            Program(
                "identity",
                identity.command(),
                identity.environment(),
                f"{identity.issuer}.well-known/openid-configuration",
                stage=0,
            ),
            _mailbox(ports["smtp"], ports["mailbox"]),
        )
        supervisor.preload(_PRELOAD)  # while the identity provider, of other libraries, starts beside
        failed = supervisor.run_once(*(_service_program(name, "migrate", environments[name]) for name in SERVICES))
        if failed:
            raise _did_not_start(supervisor, failed)

        say("up.start")
        for name in SERVICES:
            supervisor.start(*_service(name, ports[name], environments[name]))
        supervisor.start(_gateway(ports["gateway"], urls))
        late = supervisor.wait_ready(60)
        if late:
            raise _did_not_start(supervisor, late)
        _write_running(urls)
        if sample and not _SAMPLE.exists():
            say("up.sample")
            _load_sample(house)
            _SAMPLE.touch()
        _say_ready(house, postgres, pack, time.monotonic() - started)
        try:
            supervisor.run()
        finally:
            say("up.stopping")
    return 0


def _forget() -> None:
    """Delete the data, and the choice of jurisdiction with them."""
    say("up.fresh")
    _SAMPLE.unlink(missing_ok=True)
    stop_leftovers(_PROGRAMS, patience=3)
    Postgres(_POSTGRES, 0, "").remove()
    Redis(_REDIS, 0, "").remove()
    for directory in (_IDENTITY, _MAILBOX, _FILES, _PROGRAMS):
        shutil.rmtree(directory, ignore_errors=True)
    _PACK.unlink(missing_ok=True)


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether no other `up` runs on this state; while the block lasts, none can."""
    with _LOCK.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _choose_jurisdiction(asked: str | None) -> "tuple[Path, Jurisdiction]":
    """The pack that was asked for; without a wish the one the data were made with. Data of one never meet the other."""
    from tejido_shared.jurisdiction import JurisdictionError, load

    before = _PACK.read_text("utf-8") if _PACK.exists() else None
    named = JURISDICTIONS / (asked or DEFAULT_JURISDICTION)
    path = named if asked is None or named.is_dir() else Path(asked).resolve()
    if asked is None and before:
        path = ROOT / before
    if not path.is_dir():
        known = sorted(entry.name for entry in JURISDICTIONS.iterdir() if entry.is_dir())
        raise UpError("up.no_jurisdiction", asked=asked or path, known=", ".join(known))
    if before and ROOT / before != path:
        raise UpError("up.other_jurisdiction", before=before, asked=path)
    try:
        pack = load(path, language())
    except JurisdictionError as error:
        raise UpError("up.bad_jurisdiction", problems=error) from error
    # Relative inside the checkout, which may be moved.
    _PACK.write_text(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path), "utf-8")
    return path, pack


def _choose_ports(base: int) -> dict[str, int]:
    """Each its usual port, or where somebody else has it another, saying so."""
    ports = {}
    for name, offset in _PORTS.items():
        port = base + offset
        if not port_is_free(port):
            other = free_port()
            say("up.port_taken", port=port, name=name, other=other)
            port = other
        ports[name] = port
    return ports


def _did_not_start(supervisor: Supervisor, names: list[str]) -> UpError:
    log = supervisor.log(names[0])
    return UpError("up.failed", names=", ".join(names), log=log, tail=tail(log))


def _database(service: str, postgres: Postgres, values: Mapping[str, str]) -> dict[str, str]:
    password = values[secrets.DATABASE_PASSWORDS[service]]
    return {f"{service.upper()}_DATABASE_URL": postgres.url(service, service, password, "postgresql+psycopg")}


def _service_program(service: str, command: str, environment: Mapping[str, str]) -> Program:
    return Program(f"{service}-{command}", [sys.executable, "-m", f"tejido_{service}", command], environment)


def _mailbox(smtp_port: int, web_port: int) -> Program:
    options = {"--smtp-port": str(smtp_port), "--web-port": str(web_port), "--directory": str(_MAILBOX)}
    command = [sys.executable, "-m", "tejido_local.mailbox", *(part for option in options.items() for part in option)]
    return Program("mailbox", command, ready_url=f"http://127.0.0.1:{web_port}/", stage=0)


def _gateway(port: int, urls: Mapping[str, str]) -> Program:
    upstreams = [f"{name}={urls[name]}" for name in SERVICES]
    command = [sys.executable, "-m", "tejido_local.gateway", "--port", str(port), *upstreams]
    return Program("gateway", command, ready_url=f"{urls['gateway']}/health", stage=2)


def _service(service: str, port: int, environment: Mapping[str, str]) -> list[Program]:
    celery = [sys.executable, "-m", "celery", "-A", f"tejido_{service}.worker"]
    uvicorn = [sys.executable, "-m", "uvicorn", f"tejido_{service}.app:create_app", "--factory"]
    # Streams of events stay open until their readers leave: they are not waited for.
    address = ["--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--timeout-graceful-shutdown", "3"]
    # Alone on its machine, a worker has no others to hear of.
    worker = ["worker", "--without-gossip", "--without-mingle"]
    beat = ["beat", "--schedule", str(_PROGRAMS / f"{service}.timetable"), "--pidfile="]
    return [
        Program(f"{service}-api", uvicorn + address, environment, f"http://127.0.0.1:{port}/health/ready"),
        *(
            Program(name, [*celery, *worker, "-n", f"{name}@tejido", *options], environment)
            for name, options in workers_of(service).items()
        ),
        Program(f"{service}-beat", celery + beat, environment),
        _service_program(service, "relay", environment),
    ]


def _load_sample(house: House) -> None:
    """In a process of its own: it may start threads, which this one, that forks, may not."""

    def load() -> None:
        importlib.import_module("tejido_local.sample").load(house)

    loading = multiprocessing.get_context("fork").Process(target=load)
    loading.start()
    loading.join()
    if loading.exitcode:
        raise UpError("up.sample_failed")


def _announce(event: str, **params: object) -> None:
    if event != "process_ready":
        say(f"up.{event}", **params)


def _write_running(urls: Mapping[str, str]) -> None:
    """For who types `up` meanwhile; the addresses once they answer."""
    new = _RUNNING.with_suffix(".new")
    new.write_text(json.dumps({"pid": os.getpid(), "urls": urls}), "utf-8")
    new.replace(_RUNNING)


def _say_running() -> None:
    running: dict[str, Any] = json.loads(_RUNNING.read_text("utf-8"))
    say("up.running", pid=running["pid"])
    for name, url in running["urls"].items():
        say("up.address", name=name, url=url)


def _say_ready(house: House, postgres: Postgres, pack: "Jurisdiction", seconds: float) -> None:
    say("up.ready", name=pack.name, seconds=seconds)
    for name, url in house.urls.items():
        say("up.address", name=name, url=f"{url}/v1/openapi.json" if name in SERVICES else url)
    say("up.address", name="PostgreSQL", url=f"127.0.0.1:{postgres.port}")
    say("up.users")
    for user, password, group in house.identity.sample_users():
        say("up.user", user=user, password=password, group=group)
    say(
        "up.next",
        requests=house.urls["requests"],
        identity=house.identity.issuer,
        mailbox=house.urls["mailbox"],
        gateway=house.urls["gateway"],
        logs=STATE / "log",
    )
