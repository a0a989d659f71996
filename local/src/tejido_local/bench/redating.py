"""What it costs to re-date open requests when a closure is declared: a tenth of them move, against a bare UPDATE of the same rows."""

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from datetime import time as hour
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from tejido_shared.clock import now
from tejido_shared.db import Database
from tejido_shared.jurisdiction import Closure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tejido_local.bench import Bench, Row

TYPES = ("general_interest_petition", "claim", "information", "consultation")
DAYS = 30
"""Over so many days the requests came in."""
_EMPTY = sa.text(
    "set local session_replication_role = replica; truncate service_request, outbox cascade;"
    " set local session_replication_role = origin"
)
"""Without the triggers that refuse to empty a history."""


def rows(bench: "Bench") -> "Iterator[Row]":
    from tejido_local.bench import PETITION, Row, load, settle

    bench.migrate("requests")
    town, database = bench.town, bench.town.database("requests")
    # For what is called in this process.
    os.environ["REQUESTS_DATABASE_URL"] = town.environment["REQUESTS_DATABASE_URL"]
    port = int(town.start_api("requests").rpartition(":")[2])
    with database.tx() as session:
        # What other rows stored.
        session.execute(sa.text("set local statement_timeout = 0"))
        session.execute(_EMPTY)
    _file(port)
    town.kill("requests-api")
    affected = bench.stored // 10
    day = _fill(database, bench.stored, affected)
    bench.start_workers("requests", "first-worker")
    change, previewed = _confirmed(database, [_closure(day)])
    took = _done(database, change)
    moved = _moved(database, change)
    assert moved == affected, f"{moved} moved and not {affected}"
    updated = _bare_update(database)
    yield Row(
        f"{affected:,} of {bench.stored:,} re-dated, against bare UPDATE",
        f"{took:.1f} s",
        f"{updated:.1f} s",
        [took / updated],
        4,
        at_most=True,
    )
    yield Row("the same, against a minute", f"{took:.1f} s", "60 s", [took / 60], 1, at_most=True)
    yield Row("its preview", f"{previewed:.1f} s", "15 s", [previewed / 15], 1, at_most=True)
    before = _dates(database)

    def kill_half_way(seen: int) -> bool:
        if seen < affected // 3:
            return False
        town.kill("first-worker")
        town.start_worker("tejido_requests.worker", "second-worker")
        return True

    change, _ = _confirmed(database, [], withdraw=day)
    resumed = _done(database, change, kill_half_way)
    assert _moved(database, change) == affected
    assert _dates(database) != before
    yield Row("withdrawn, its worker killed half-way", f"{resumed:.1f} s", "60 s", [resumed / 60], 1, at_most=True)

    port = int(town.start_api("requests").rpartition(":")[2])
    file = load.http_request("POST", "/v1/service-requests", PETITION)

    def desk(seconds: float) -> float:
        seen = load.run(port, file, seconds=seconds, connections=4)
        assert not seen.refused, f"{seen.refused} refused"
        return seen.p99

    desk(0.5)
    with database.tx() as session:
        # What was moved is announced anew, which is not what is measured here.
        session.execute(sa.text("set local statement_timeout = 0"))
        session.execute(sa.text("update service_request set alarm_at = null where alarm_at <= now()"))
    settle(database)
    quiet = desk(bench.seconds)
    busy: list[float] = []

    def file_meanwhile(seen: int) -> bool:
        if seen:
            busy.append(desk(min(bench.seconds, took / 3)))
        return bool(busy)

    change, _ = _confirmed(database, [_closure(day)])
    _done(database, change, file_meanwhile)
    yield Row(
        "filing while it re-dates, 99th percentile",
        f"{busy[0] * 1000:.0f} ms",
        f"{quiet * 1000:.0f} ms",
        [busy[0] / quiet],
        5,
        at_most=True,
    )
    town.kill("requests-api")
    town.kill("second-worker")
    town.kill("requests-beat")


def _file(port: int) -> None:
    import httpx2

    for code in TYPES:
        body = {"subject": "Hay un bache", "request_type": code}
        body |= {"petitioner": {"name": "Ana Niño", "email": "ana@example.org"}}  # type: ignore[dict-item]
        httpx2.post(f"http://127.0.0.1:{port}/v1/service-requests", json=body).raise_for_status()


def _closure(day: datetime) -> Closure:
    said = {"starts_on": day.date(), "ends_on": day.date(), "name": "Día cívico", "act": "Decreto 1 de prueba"}
    return Closure.model_validate(
        said | {"scope": "municipality", "suspends_terms": True, "open_for_filing": True, "declared_at": None}
    )


def _fill(database: Database, stored: int, affected: int) -> datetime:
    """Copies of one request of each type, received over the last weeks. Returns a day that lies in the span of `affected` of them."""
    from tejido_local.bench import settle
    from tejido_requests.calendars import redating
    from tejido_requests.models import ServiceRequest
    from tejido_requests.settings import jurisdiction

    pack = jurisdiction()
    today = datetime.combine(now().astimezone(pack.zone).date(), hour(8), pack.zone)
    names = [*redating._SHARED, "acknowledged_at"]  # noqa: SLF001
    with database.tx() as session:
        session.execute(sa.text("set local statement_timeout = 0"))
        columns = [getattr(ServiceRequest, name) for name in ("id", *names)]
        of_type = session.execute(
            sa.select(*columns, sa.cast(ServiceRequest.policy, sa.Text).label("policy_text"))
        ).all()
        groups = redating.Groups(session, 1)
        made: list[dict[str, Any]] = []
        for one in of_type:
            for back in range(DAYS, 0, -1):
                received = today - timedelta(days=back)
                values = one._asdict() | {"received_at": received, "acknowledged_at": received}
                dated = groups.dated(SimpleNamespace(**values))
                made.append(
                    {
                        "of": one.id,
                        "received": received,
                        "effective": dated.received,
                        "due": dated.due,
                        "overdue_at": dated.overdue_at,
                        "soon": dated.soon,
                        # Those that are long past were announced; the sweep is not what is measured here.
                        "alarm_at": dated.alarm_at if dated.alarm_at and dated.alarm_at > now() else None,
                    }
                )
        # A working day over which the clocks of the younger requests run, and those of the older do not.
        days = sorted({group["due"] for group in made})
        day = days[int(len(days) * 0.7)]
        ours = [group for group in made if group["due"] >= day]
        others = [group for group in made if group["due"] < day]
        for chosen, amount in ((ours, affected), (others, stored - affected)):
            for place, group in enumerate(chosen):
                group["amount"] = amount // len(chosen) + (place < amount % len(chosen))
        session.execute(sa.text("create temporary table template as select * from service_request"))
        session.execute(_EMPTY)
        changed = {
            # In the order they came in, as real ones are.
            "id": "cast(lpad(to_hex(:place * 10000000::bigint + n), 12, '0') || substr(md5(n::text), 1, 20) as uuid)",
            "number": "'STORED-' || cast(:place as text) || '-' || n",
            "received_at": "cast(:received as timestamptz) + (n % 30000) * interval '1 second'",
            "acknowledged_at": "cast(:received as timestamptz) + (n % 30000) * interval '1 second'",
            "effective_receipt_date": "cast(:effective as date)",
            "due_date": "cast(:due as date)",
            "first_due_date": "cast(:due as date)",
            "overdue_at": "cast(:overdue_at as timestamptz)",
            "due_soon_from": "cast(:soon as date)",
            "alarm_at": "cast(:alarm_at as timestamptz)",
        }
        every = [column.key for column in ServiceRequest.__table__.columns]
        copy = sa.text(
            f"with made as (insert into service_request ({', '.join(every)}) "
            f"select {', '.join(changed.get(name, name) for name in every)} "
            "from template, generate_series(1, :amount) n where template.id = :of returning id, received_at) "
            "insert into history_entry (id, request_id, at, kind, details, calendar_version) "
            "select gen_random_uuid(), id, received_at, 'received', '{}', 1 from made"
        )
        for place, group in enumerate(made):
            session.execute(copy, group | {"place": place})
    settle(database)
    return datetime.combine(day, hour(), pack.zone)


def _confirmed(database: Database, closures: list[Closure], withdraw: datetime | None = None) -> tuple[UUID, float]:
    """A change drafted and confirmed; and the seconds its preview took."""
    from tejido_requests.calendars import queries, service
    from tejido_requests.models import ClosureRecord

    with database.tx() as session:
        gone = []
        if withdraw is not None:
            of_day = queries.in_version(2) & (ClosureRecord.since == 2)
            gone = [
                (found, "Decreto 2 de prueba") for found in session.scalars(sa.select(ClosureRecord.id).where(of_day))
            ]
        started = time.perf_counter()
        change = service.draft(session, "bench", closures, gone)
        previewed = time.perf_counter() - started
    with database.tx() as session:
        service.confirm(session, session.merge(change), "bench")
    return change.id, previewed


def _done(database: Database, change: UUID, until: Callable[[int], bool] = lambda _: True) -> float:
    """Seconds until the change is done. `until` is called with how many were seen, until it says true. Shows the progress."""
    started, called = time.perf_counter(), False
    while True:
        with database.tx() as session:
            seen, status = session.execute(
                sa.text("select seen, status from calendar_change where id = :id"), {"id": change}
            ).one()
        called = called or until(seen)
        print(f"\r{seen:,} seen", end="", file=sys.stderr, flush=True)
        if status == "done":
            print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
            return time.perf_counter() - started
        if time.perf_counter() - started > 600:
            raise TimeoutError
        time.sleep(0.1)


def _moved(database: Database, change: UUID) -> int:
    with database.tx() as session:
        counted = sa.text(
            "select count(*), count(distinct request_id) from history_entry"
            " where kind = 'calendar_changed' and details->>'change' = cast(:id as text)"
        )
        entries, requests = session.execute(counted, {"id": str(change)}).one()
        assert entries == requests, "a request was moved twice"
        return int(entries)


def _dates(database: Database) -> Any:
    with database.tx() as session:
        return session.execute(
            sa.text("select due_date, count(*) from service_request group by due_date order by due_date")
        ).all()


def _bare_update(database: Database) -> float:
    """The same rows and columns to other values, with nothing worked out, recorded or told."""
    from tejido_local.bench import settle

    with database.tx() as session:
        session.execute(sa.text("create table bare as select id from service_request where calendar_version = 2"))
    took = []
    for step in (1, -1):
        settle(database)
        started = time.perf_counter()
        with database.tx() as session:
            session.execute(sa.text("set local statement_timeout = 0"))
            session.execute(
                sa.text(
                    "update service_request r set due_date = due_date + :n, due_soon_from = due_soon_from + :n,"
                    " overdue_at = overdue_at + :n * interval '1 day', alarm_at = alarm_at + :n * interval '1 day',"
                    " effective_receipt_date = effective_receipt_date, calendar_version = calendar_version,"
                    " clock_version = clock_version + :n, version = version + :n from bare where bare.id = r.id"
                ),
                {"n": step},
            )
        took.append(time.perf_counter() - started)
    settle(database)
    return took[0]
