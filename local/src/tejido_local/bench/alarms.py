"""What it costs to look for alarms that are not there, and to announce many that come due at one instant."""

import statistics
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from tejido_shared.clock import now
from tejido_shared.db import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tejido_local.bench import Bench, Row

AT_ONCE = 10_000


def rows(bench: "Bench") -> "Iterator[Row]":
    from tejido_local.bench import Row, store

    bench.migrate("requests")
    town, database = bench.town, bench.town.database("requests")
    port = int(town.start_api("requests").rpartition(":")[2])
    _one_request(port)
    store(database, bench.stored)
    town.kill("requests-api")
    seen = [_sweep_that_finds_none(database) for _ in range(bench.rounds * 4)]
    milliseconds = statistics.median(seen) * 1000
    yield Row(
        f"sweep that finds none of {bench.stored:,} open",
        f"{milliseconds:.1f} ms",
        "10 ms",
        [one * 100 for one in seen],
        1,
        at_most=True,
    )
    bench.start_workers("requests", "first-worker", "second-worker")
    took = [_announced_after(database) for _ in range(max(1, bench.rounds // 2))]
    yield Row(
        f"{AT_ONCE:,} alarms of one instant, by 2 workers",
        f"{statistics.median(took):.1f} s",
        "10 s",
        [one / 10 for one in took],
        1,
        at_most=True,
    )
    for name in ("first-worker", "second-worker", "requests-beat"):
        town.kill(name)


def _one_request(port: int) -> None:
    import httpx2

    answer = httpx2.post(f"http://127.0.0.1:{port}/v1/service-requests", json={"subject": "Hay un bache"})
    answer.raise_for_status()


def _sweep_that_finds_none(database: Database) -> float:
    from tejido_requests.clocks import service

    with database.tx() as session:
        started = time.perf_counter()
        found = service.announce(session, now() - timedelta(days=3650))
        took = time.perf_counter() - started
    assert found == 0
    return took


def _announced_after(database: Database) -> float:
    """Seconds from the instant at which the next `AT_ONCE` requests come due until the last of them is announced."""
    with database.tx() as session:
        # Received so long ago that the first reminder falls due now; nothing of theirs was announced before.
        instant: datetime = now() + timedelta(seconds=6)
        session.execute(sa.text("set local statement_timeout = 0"))
        session.execute(
            sa.text(
                "with chosen as (select id from service_request where received_at > now() - interval '1 day' limit :n)"
                " update service_request r set received_at = received_at - interval '21 days', alarm_at = :at"
                " from chosen where r.id = chosen.id"
            ),
            {"n": AT_ONCE, "at": instant},
        )
        before = session.scalar(_COUNT) or 0
    deadline = time.monotonic() + 120
    while True:
        with database.tx() as session:
            if (session.scalar(_COUNT) or 0) >= before + AT_ONCE:
                took = (now() - instant).total_seconds()
                told, events = session.execute(_TOLD).one()
                assert told == events, f"{events} events for {told} thresholds"
                return took
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.2)


_COUNT = sa.text("select count(distinct request_id) from announcement")
_TOLD = sa.text(
    "select (select count(*) from announcement where told),"
    " (select count(*) from outbox where envelope->>'type' in ('requests.reminder', 'requests.became_overdue'))"
)
"""No relay runs here, so every event that was emitted lies in the outbox."""
