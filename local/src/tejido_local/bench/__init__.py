"""`./tejido bench`: each row is a ratio against a limit measured in the same run on the same machine.

The two sides of a ratio take turns, A B A B …, so that a machine whose speed drifts does so for both; the median ratio is the figure and
the lowest and highest are its spread. PostgreSQL commits durably here, as in production.
"""

import argparse
import json
import os
import secrets
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from tejido_local.bench import alarms, load, mail, organizations, redating, search
from tejido_local.paths import STATE
from tejido_local.postgres import Postgres
from tejido_local.processes import free_port
from tejido_local.running import RunningTown
from tejido_shared import seam
from tejido_shared.contracts import MessageDelivered, RequestSubmitted
from tejido_shared.deadlines import Calendar, Closed, Policy, Term, deadline
from tejido_shared.ids import new_id
from tejido_shared.outbox import emit_all
from tejido_shared.settings import CommonSettings
from tejido_shared.testing import Issuer, wait_until
from tejido_shared.worker import KEY_PREFIX, QueueDepths, make_celery, send

PETITION = json.dumps(
    {"subject": "Hay un bache frente al colegio", "petitioner": {"name": "Ana Niño", "email": "ana@example.org"}}
).encode()


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` is against the limit; the aim is at least (or, where `at_most`, at most) `aim`."""

    name: str
    ours: str
    limit: str
    ratios: list[float]
    aim: float
    at_most: bool = False

    def __str__(self) -> str:
        middle = statistics.median(self.ratios)
        met = middle <= self.aim if self.at_most else middle >= self.aim
        spread = f"{min(self.ratios):.2f}–{max(self.ratios):.2f}"
        sign = "≤" if self.at_most else "≥"
        return f"{self.name:<46} {self.ours:>16} {self.limit:>16} {middle:>7.2f} {spread:>13} {sign}{self.aim:<6g} {'yes' if met else 'NO'}"


def main(arguments: list[str]) -> int:
    """Runs the chosen rows and prints the table; returns 0 whatever the figures are, for timing is no test."""
    rows: dict[str, Callable[[Bench], Iterator[Row]]] = {
        "deadlines": _deadlines,
        "http": _http,
        "events": _events,
        "latency": _latency,
        "growth": _growth,
        "alarms": alarms.rows,
        "redating": redating.rows,
        "mail": mail.rows,
        "imports": organizations.import_rows,
        "search": search.rows,
    }
    parser = argparse.ArgumentParser(prog="./tejido bench")
    parser.add_argument("rows", nargs="*", help=f"which of {', '.join(rows)}; all when none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one round over HTTP")
    parser.add_argument("--stored", type=int, default=1_000_000, help="requests stored for `growth`")
    chosen = parser.parse_args(arguments)
    print(f"{'':<46} {'ours':>16} {'limit':>16} {'ratio':>7} {'spread':>13} {'aim':<7} met")
    with _bench(chosen) as bench:
        for name in chosen.rows or rows:
            for row in rows[name](bench):
                print(row, flush=True)
    return 0


class Bench:
    """A durable PostgreSQL, a Redis and the town's databases, migrated."""

    def __init__(self, chosen: argparse.Namespace, directory: Path) -> None:
        self.rounds: int = chosen.rounds
        self.seconds: float = chosen.seconds
        self.stored: int = chosen.stored
        self.issuer = Issuer()
        self.town = RunningTown(
            "test_bench", directory, self.issuer, TEJIDO_LOG_LEVEL="WARNING", TEJIDO_RATE_LIMIT="1000000000/minute"
        )
        os.environ.update({name: value for name, value in self.town.environment.items() if name.startswith("TEJIDO_")})

    def migrate(self, *services: str) -> None:
        for service in services:
            self.town.run("-m", f"tejido_{service}", "migrate")

    def start_workers(self, service: str, *names: str) -> None:
        """The beat and these workers of a service, or those it is deployed with. Returns once its ticks come and all of them answer: no
        start is measured."""
        self.town.start_beat(service)
        depths = QueueDepths(CommonSettings())
        wait_until(lambda: depths.of(f"{service}.work"), 60, "the beat")
        for name in names:
            self.town.start_worker(f"tejido_{service}.worker", name)
        names = names or tuple(self.town.start_workers(service))
        control = make_celery("bench", CommonSettings()).control
        places = [f"{name}@test" for name in names]
        wait_until(lambda: len(control.ping(places, timeout=1)) == len(places), 60, "the workers")

    def in_turn(self, ours: Callable[[], float], limit: Callable[[], float]) -> tuple[list[float], list[float]]:
        ours(), limit()
        pairs = [(ours(), limit()) for _ in range(self.rounds)]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def start_bare(self) -> int:
        port = free_port()
        url = self.town.environment["REQUESTS_DATABASE_URL"].replace("+psycopg", "")
        self.town.start(
            "bare",
            "-m",
            "uvicorn",
            "tejido_local.bench.bare:app",
            "--port",
            str(port),
            "--no-access-log",
            BENCH_URL=url,
        )
        wait_until(lambda: _listens(port), 20, "the bare endpoint")
        return port


@contextmanager
def _bench(chosen: argparse.Namespace) -> Iterator[Bench]:
    directory = STATE / f"bench-{os.getpid()}"
    directory.mkdir(parents=True)
    postgres = Postgres(directory / "postgres", free_port(), secrets.token_hex(16))
    try:
        with postgres:
            os.environ["TEJIDO_TEST_POSTGRES_URL"] = postgres.url()
            bench = Bench(chosen, directory)
            try:
                yield bench
            finally:
                bench.town.close()
                bench.issuer.close()
    finally:
        postgres.remove()
        shutil.rmtree(directory, ignore_errors=True)


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _row(name: str, ours: list[float], limit: list[float], aim: float, unit: str) -> Row:
    ratios = [a / b for a, b in zip(ours, limit, strict=True)]
    return Row(name, f"{statistics.median(ours):,.0f} {unit}", f"{statistics.median(limit):,.0f} {unit}", ratios, aim)


def _deadlines(bench: Bench) -> Iterator[Row]:
    """Cases without acts on one core: against walking the days one by one with the holidays in a set, and against 200,000 a second."""
    zone = ZoneInfo("America/Bogota")
    closed = {date(2026, 1, 1) + timedelta(days=20 * n): Closed("Festivo", "Ley 51 de 1983") for n in range(60)}
    calendar, term, policy = Calendar("1111100", closed), Term("business_days", 15), Policy()
    instants = [datetime(2026, 1, 2, 15, tzinfo=UTC) + timedelta(hours=n) for n in range(5000)]

    def ours() -> float:
        started = time.perf_counter()
        for instant in instants:
            deadline(instant, term, calendar, zone, policy)
        return len(instants) / (time.perf_counter() - started)

    def walked() -> float:
        days = set(closed)
        started = time.perf_counter()
        for instant in instants:
            day, left = instant.astimezone(zone).date(), 15
            while left:
                day += timedelta(days=1)
                left -= day.weekday() < 5 and day not in days
        return len(instants) / (time.perf_counter() - started)

    rates, walks = bench.in_turn(ours, walked)
    yield _row("deadlines, against walking the days", rates, walks, 1, "/s")
    yield _row("deadlines on one core, against 200,000 /s", rates, [200_000] * len(rates), 1, "/s")


def _http(bench: Bench) -> Iterator[Row]:
    bench.migrate("requests")
    ours = int(bench.town.start_api("requests").rpartition(":")[2])
    file = load.http_request("POST", "/v1/service-requests", PETITION)
    first = load.run(ours, file, seconds=0.5, connections=1)
    assert not first.refused
    bare = bench.start_bare()
    bare_file = load.http_request("POST", "/file", PETITION)

    def rate(port: int, request: bytes, connections: int = 16) -> Callable[[], float]:
        def measure() -> float:
            seen = load.run(port, request, seconds=bench.seconds, connections=connections)
            assert not seen.refused, f"{seen.refused} refused"
            return seen.rate

        return measure

    yield _row(
        "filing a petition, against bare FastAPI+psycopg",
        *bench.in_turn(rate(ours, file), rate(bare, bare_file)),
        0.5,
        "/s",
    )

    number, code = _a_number_and_its_code(ours)
    track = load.http_request("GET", f"/v1/tracking/{number}", Tracking_Code=code)
    bare_track = load.http_request("GET", f"/track/{number}")
    yield _row(
        "tracking read, against a bare select", *bench.in_turn(rate(ours, track), rate(bare, bare_track)), 0.6, "/s"
    )
    bench.town.kill("bare")
    bench.town.kill("requests-api")


def _a_number_and_its_code(port: int) -> tuple[str, str]:
    import httpx2

    receipt = httpx2.post(
        f"http://127.0.0.1:{port}/v1/service-requests", content=PETITION, headers={"Content-Type": "application/json"}
    ).json()
    return receipt["number"], receipt["tracking_code"]


def _events(bench: Bench) -> Iterator[Row]:
    """From committed outbox rows to committed effects, against a worker that does nothing with as many tasks."""
    town, amount = bench.town, 5000
    bench.migrate("notifications", "requests")
    town.start_worker("tejido_requests.worker", "requests-worker")
    town.start_worker("tejido_notifications.worker", "notifications-worker")
    town.start_worker("tejido_local.bench.noop", "noop-worker")
    settings = CommonSettings()
    app = make_celery("bench", settings)
    publisher, listener = town.database("notifications"), town.database("requests")
    time.sleep(5)

    def ours() -> float:
        with listener.tx() as session:
            before = session.scalar(sa.select(sa.func.count()).select_from(seam.inbox)) or 0
        for _ in range(amount // 500):
            with publisher.tx() as session:
                emit_all(session, [(_delivered(), 1) for _ in range(500)])
        started = time.perf_counter()
        town.start_relay("notifications")
        _wait_for(lambda: _count(listener, seam.inbox) >= before + amount)
        rate = amount / (time.perf_counter() - started)
        wait_until(lambda: not _count(publisher, seam.outbox), 30, "the confirmations")
        town.kill("notifications-relay")
        return rate

    import redis

    broker = redis.Redis.from_url(settings.broker_url.get_secret_value())

    def noop() -> float:
        done = f"{KEY_PREFIX}noop.work"
        text = json.dumps({"envelope": _delivered().model_dump(mode="json")})
        town.kill("noop-worker")
        for _ in range(amount):
            send(app, "noop.nothing", [text], "noop.work")
        town.start_worker("tejido_local.bench.noop", "noop-worker")
        _wait_for(lambda: int(broker.llen(done)) < amount)
        started, left = time.perf_counter(), int(broker.llen(done))
        _wait_for(lambda: not broker.llen(done))
        return left / (time.perf_counter() - started)

    yield _row("event to effect, against no-op Celery tasks", *bench.in_turn(ours, noop), 1, "/s")
    for name in ("requests-worker", "notifications-worker", "noop-worker"):
        town.kill(name)


def _delivered() -> MessageDelivered:
    """An event with one listener, which looks for the request it is about."""
    return MessageDelivered(
        message_id=new_id(),
        cause_id=new_id(),
        cause_type=RequestSubmitted.type,
        about=new_id(),
        delivered_at=datetime.now(UTC),
        evidence="250 2.0.0 Ok: queued as 1",
    )


def _count(database: "object", table: sa.Table) -> int:
    with database.tx() as session:  # type: ignore[attr-defined]
        return int(session.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def _wait_for(condition: Callable[[], object]) -> None:
    deadline_at = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline_at:
            raise TimeoutError
        time.sleep(0.005)


def _latency(bench: Bench) -> Iterator[Row]:
    """From the commit that emits an event to the commit of its effect, at ten a second."""
    bench.migrate("notifications", "requests")
    town = bench.town
    town.start_worker("tejido_requests.worker", "requests-worker")
    town.start_worker("tejido_notifications.worker", "notifications-worker")
    town.start_relay("notifications")
    time.sleep(6)
    publisher, listener = town.database("notifications"), town.database("requests")
    took: list[float] = []
    for turn in range(220):
        with publisher.tx() as session:
            (event_id,) = emit_all(session, [(_delivered(), 1)])
        committed = time.perf_counter()
        _wait_for(lambda id_=event_id: _arrived(listener, id_))  # type: ignore[misc]
        if turn >= 20:
            took.append(time.perf_counter() - committed)
        time.sleep(max(0, 0.1 - (time.perf_counter() - committed)))
    took.sort()
    p50, p99 = took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000
    yield Row("event to effect at 10/s, median", f"{p50:.0f} ms", "50 ms", [p50 / 50], 1, at_most=True)
    yield Row("event to effect at 10/s, 99th percentile", f"{p99:.0f} ms", "250 ms", [p99 / 250], 1, at_most=True)
    for name in ("requests-worker", "notifications-worker", "notifications-relay"):
        town.kill(name)


def _arrived(database: "object", event_id: UUID) -> bool:
    with database.tx() as session:  # type: ignore[attr-defined]
        return session.scalar(sa.select(seam.inbox.c.event_id).where(seam.inbox.c.event_id == event_id)) is not None


def _growth(bench: Bench) -> Iterator[Row]:
    """The cost of a request when many are stored, against the cost when few are."""
    bench.migrate("requests")
    port = int(bench.town.start_api("requests").rpartition(":")[2])
    file = load.http_request("POST", "/v1/service-requests", PETITION)
    database = bench.town.database("requests")

    def cost(request: bytes) -> float:
        seen = [load.run(port, request, seconds=bench.seconds, connections=4) for _ in range(bench.rounds)]
        assert not any(one.refused for one in seen)
        return statistics.median(1 / one.rate for one in seen)

    costs: dict[int, tuple[float, float]] = {}
    for stored in (10_000, bench.stored):
        load.run(port, file, seconds=0.2, connections=1)
        store(database, stored)
        number, code = _a_number_and_its_code(port)
        costs[stored] = cost(file), cost(load.http_request("GET", f"/v1/tracking/{number}", Tracking_Code=code))
    few, many = costs[10_000], costs[bench.stored]
    for name, less, more in (("filing", few[0], many[0]), ("tracking", few[1], many[1])):
        yield Row(
            f"{name}: cost at {bench.stored:,} stored against 10,000",
            f"{more * 1e6:.0f} µs",
            f"{less * 1e6:.0f} µs",
            [more / less],
            1.2,
            at_most=True,
        )
    bench.town.kill("requests-api")


def store(database: "object", amount: int) -> None:
    """Copies of one filed request and its history, until so many are stored."""
    with database.tx() as session:  # type: ignore[attr-defined]
        session.execute(sa.text("set local statement_timeout = 0"))
        have = session.scalar(sa.text("select count(*) from service_request"))
        columns = session.scalar(
            sa.text(
                "select string_agg(quote_ident(column_name), ', ') from information_schema.columns "
                "where table_name = 'service_request' and column_name not in ('id', 'number')"
            )
        )
        session.execute(
            sa.text(
                f"with one as (select * from service_request limit 1), made as (insert into service_request (id, number, {columns}) "
                f"select gen_random_uuid(), 'STORED-' || :have || '-' || n, {columns} from one, generate_series(1, :more) n returning id) "
                "insert into history_entry (id, request_id, at, kind, details, calendar_version) "
                "select gen_random_uuid(), id, now(), 'received', '{}', 1 from made"
            ),
            {"have": str(have), "more": max(0, amount - have)},
        )
    settle(database)


def settle(database: "object") -> None:
    """As a desk is that did not get all its requests a moment ago: vacuumed, and its history sealed."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:  # type: ignore[attr-defined]
        connection.execute(sa.text("set statement_timeout = 0"))
        connection.execute(sa.text("vacuum analyze"))
        connection.execute(
            sa.text(
                "insert into audit_head (id, sequence, hash, sealed_until) values (1, 0, decode(repeat('00', 32), 'hex'), now())"
                " on conflict (id) do update set sealed_until = now()"
            )
        )
