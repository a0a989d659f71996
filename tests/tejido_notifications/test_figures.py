"""Figures agree with what happened, over HTTP, as metrics, and in the dashboard that shows them."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from tejido_notifications.app import create_app
from tejido_notifications.models import Attempt, Delivery, Subscription
from tejido_shared.clock import moved_to, now
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.testing import Issuer

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "notifications.json"
NOON = datetime(2026, 12, 10, 17, 0, tzinfo=UTC)  # in Bogotá


@pytest.fixture
def client(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


def message(created_at: datetime, **fields: Any) -> Delivery:
    given = {
        "id": new_id(),
        "cause_id": new_id(),
        "cause_type": "requests.submitted",
        "about": new_id(),
        "audience": "citizen",
        "template": "requests_submitted",
        "language": "es",
        "recipient": "ana@correo.example",
        "context": "{}",
        "correlation_id": "",
        "occurred_at": created_at,
        "created_at": created_at,
    }
    return Delivery(**{**given, **fields})


def history(database: Database, seed: int = 7) -> list[tuple[Delivery, list[Attempt]]]:
    """Some hundred messages of twelve days up to NOON, each with its attempts."""
    chance, made = random.Random(seed), []
    with database.tx() as session:
        for _ in range(400):
            created = NOON - timedelta(seconds=chance.uniform(0, 12 * 86400))
            kind = chance.choice([("email", "legal"), ("email", "service"), ("email", "campaign"), ("sms", "legal")])
            status = chance.choices(["delivered", "failed", "bounced", "pending"], [8, 2, 1, 1])[0]
            late = timedelta(seconds=chance.expovariate(0.1))
            held = created + timedelta(hours=3) if chance.random() < 0.2 else None
            done = (held or created) + late
            one = message(created, channel=kind[0], category=kind[1], status=status, send_from=held)
            one.next_attempt_at = NOON + timedelta(hours=chance.choice([-2, -1, 1])) if status == "pending" else None
            one.delivered_at = done if status in ("delivered", "bounced") else None
            one.bounced_at = done + timedelta(hours=1) if status == "bounced" else None
            tries: list[tuple[str, str | None]] = [("deferred", "greylisted")] * chance.randrange(3)
            tries += {"failed": [("refused", chance.choice(["5.1.1", "full"]))], "pending": []}.get(
                status, [("accepted", None)]
            )
            attempts = [
                Attempt(id=new_id(), delivery_id=one.id, at=created + late * (n + 1) / len(tries), outcome=o, code=code)
                for n, (o, code) in enumerate(tries)
            ]
            session.add(one)
            session.flush()
            session.add_all(attempts)
            made.append((one, attempts))
        session.add(subscription(failing_since=NOON))
        session.add(subscription(failing_since=NOON, active=False))
        session.add(subscription())
    return made


def subscription(**fields: Any) -> Subscription:
    return Subscription(name="x", url="https://x.example", events=["*"], secret="x", created_by="x", **fields)


@pytest.mark.parametrize(("start", "end"), [("2026-12-04", "2026-12-10"), ("2026-12-01", "2026-12-01"), (None, None)])
def test_figures_agree_with_what_happened(
    client: TestClient, database: Database, issuer: Issuer, start: str | None, end: str | None
) -> None:
    made = history(database)
    params = {name: value for name, value in (("from", start), ("to", end)) if value}
    with moved_to(NOON):
        answer = client.get("/v1/figures", params=params, headers=issuer.headers("auditoria"))
    assert answer.status_code == 200, answer.text
    figures = answer.json()
    assert (figures["start"], figures["end"]) == (start or "2026-12-04", end or "2026-12-10")
    first = datetime.fromisoformat(f"{figures['start']}T05:00:00+00:00")
    last = datetime.fromisoformat(f"{figures['end']}T05:00:00+00:00") + timedelta(days=1)

    def inside(at: datetime | None) -> bool:
        return at is not None and first <= at < last

    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    failed, tried, bounced = Counter[Any](), Counter[Any](), Counter[Any]()
    for one, attempts in made:
        kind = (one.channel, one.category)
        if inside(one.delivered_at):
            assert one.delivered_at is not None
            seconds[kind].append((one.delivered_at - (one.send_from or one.occurred_at)).total_seconds())
        failed[*kind, attempts[-1].code if attempts else None] += one.status == "failed" and inside(one.created_at)
        bounced[kind] += inside(one.bounced_at)
        for attempt in attempts:
            tried[*kind, attempt.outcome] += inside(attempt.at)
    found = {(flow["channel"], flow["category"]): flow for flow in figures["period"]}
    for kind, flow in found.items():
        assert flow["delivered"] == len(seconds[kind])
        assert flow["bounced"] == bounced[kind]
        assert flow["failed"] == {k[2]: n for k, n in failed.items() if k[:2] == kind and n}
        assert flow["attempts"] == {k[2]: n for k, n in tried.items() if k[:2] == kind and n}
        if len(seconds[kind]) > 1:
            cuts = quantiles(seconds[kind], n=100, method="inclusive")
            for name, cut in (("p50", 49), ("p95", 94), ("p99", 98)):
                assert flow["seconds"][name] == pytest.approx(cuts[cut], abs=1e-5)
    assert sum(len(one) for one in seconds.values()) == sum(flow["delivered"] for flow in found.values())
    assert figures["failing_subscriptions"] == 1
    waiting = [one for one, _ in made if one.status == "pending"]
    assert sum(one["waiting"] for one in figures["now"]) == len(waiting)
    due = [one.next_attempt_at for one in waiting if one.next_attempt_at and one.next_attempt_at <= NOON]
    assert sum(one["due"] for one in figures["now"]) == len(due)
    oldest = max(one["oldest_due_seconds"] for one in figures["now"])
    assert oldest == pytest.approx((NOON - min(due)).total_seconds(), abs=5)


def test_what_waits_for_a_system_that_is_not_called_is_not_due(
    client: TestClient, database: Database, issuer: Issuer
) -> None:
    waits = {"channel": "webhook", "audience": "subscriber", "category": "service"}
    with database.tx() as session:
        for hours, state in (
            (5, {"active": False}),
            (4, {"active": False, "rests_until": NOON - timedelta(hours=1)}),
            (3, {"rests_until": NOON + timedelta(hours=1)}),
            (2, {"rests_until": NOON - timedelta(minutes=1)}),
            (1, {}),
        ):
            one = subscription(id=new_id(), **state)
            session.add(one)
            since = NOON - timedelta(hours=hours)
            session.add(message(since, **waits, recipient_key=str(one.id), next_attempt_at=since))
    with moved_to(NOON):
        [found] = client.get("/v1/figures", headers=issuer.headers("auditoria")).json()["now"]
    assert (found["channel"], found["waiting"], found["due"]) == ("webhook", 5, 2)
    assert found["oldest_due_seconds"] == pytest.approx(2 * 3600, abs=5)


def test_periods_and_readers(client: TestClient, issuer: Issuer) -> None:
    auditor = issuer.headers("auditoria")
    for params, field, code in (
        ({"from": "2026-12-02", "to": "2026-12-01"}, "query.from", "period_backwards"),
        ({"from": "2026-01-01", "to": "2026-04-03"}, "query.from", "period_too_long"),
        ({"from": "2020-01-01"}, "query.from", "period_too_long"),
        ({"from": "ayer"}, "query.from", "date_from_datetime_parsing"),
        ({"from": "0001-01-01"}, "query.from", "greater_than_equal"),
        ({"hasta": "2026-01-01"}, "query.hasta", "extra_forbidden"),
    ):
        answer = client.get("/v1/figures", params=params, headers=auditor)
        assert answer.status_code == 422, answer.text
        assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]
    longest = {"from": "2026-01-01", "to": str(date(2026, 1, 1) + timedelta(days=91))}
    assert client.get("/v1/figures", params=longest, headers=auditor).json()["period"] == []
    for group, status in (("administracion", 200), ("jefatura:oficina-juridica", 200), ("supervision", 403)):
        assert client.get("/v1/figures", headers=issuer.headers(group)).status_code == status


def test_metrics_say_what_waits_and_what_goes(client: TestClient, database: Database) -> None:
    instant = now()
    with database.tx() as session:
        for n in range(10):
            done = message(instant - timedelta(minutes=2), status="delivered", category="legal", next_attempt_at=None)
            done.delivered_at = done.created_at + timedelta(seconds=n)
            session.add(done)
            session.flush()
            session.add(Attempt(delivery_id=done.id, at=instant - timedelta(minutes=1), outcome="accepted"))
        for n in range(3):
            waits = message(
                instant, category="campaign", next_attempt_at=instant + timedelta(minutes=n - 1, seconds=-9)
            )
            session.add(waits)
            session.flush()
            session.add(Attempt(delivery_id=waits.id, at=instant, outcome="deferred", code="greylisted"))
        session.add(message(instant, category="campaign", next_attempt_at=sa.null()))
    page = client.get("/metrics")
    assert page.status_code == 200
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }
    assert found["notifications_waiting", "campaign", "email"] == 4
    assert found["notifications_due", "campaign", "email"] == 2
    assert found["notifications_oldest_due_seconds", "campaign", "email"] == pytest.approx(69, abs=5)
    assert found["notifications_delivered_per_minute", "email", "legal"] == 2
    assert found["notifications_delivery_seconds", "0.5", "email", "legal"] == 4.5
    assert found["notifications_attempts", "accepted", "email", "legal"] == 10
    assert found["notifications_failures", "campaign", "email", "greylisted"] == 3
    assert found["notifications_failing_subscriptions",] == 0
    assert "correo.example" not in page.text


def test_the_dashboard_shows_metrics_that_exist(client: TestClient) -> None:
    board = json.loads(DASHBOARD.read_text())
    names = set(re.findall(r"^# HELP (\S+)", client.get("/metrics").text, re.MULTILINE))
    asked: set[str] = set()
    assert board["id"] is None
    assert board["schemaVersion"] >= 41
    assert {one["name"] for one in board["templating"]["list"]} == {"datasource", "channel", "category"}
    spots: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        spot = panel["gridPos"]
        assert spot["x"] + spot["w"] <= 24
        cells = {
            (x, y) for x in range(spot["x"], spot["x"] + spot["w"]) for y in range(spot["y"], spot["y"] + spot["h"])
        }
        assert not cells & spots
        spots |= cells
        for target in panel["targets"]:
            assert target["expr"].count("(") == target["expr"].count(")")
            asked |= set(re.findall(r"\b(?:notifications_\w+|dead_letters|outbox_\w+)", target["expr"]))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert asked - names == set()
    assert {name for name in names if name.startswith("notifications_")} <= asked
