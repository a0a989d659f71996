"""A month at a desk over HTTP: thousands of requests in real processes whose clocks run ahead together.

Every day requests come in, are worked on, answered and notified; on the way a closure is declared, two workers are killed and Redis
starts anew. At the end every stored clock must equal the pure function of the stored history, every threshold must have been announced
once and reached notifications once, the numbers must be consecutive and the audit chain whole. Counts are printed.
"""

import json
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx2
import pytest
import sqlalchemy as sa
from kombu.exceptions import OperationalError
from pydantic import SecretStr
from tests.town.moved_clock import set_ahead

from tejido_local.running import RunningTown
from tejido_shared.settings import CommonSettings
from tejido_shared.testing import Issuer, wait_until
from tejido_shared.worker import make_celery, send

pytestmark = pytest.mark.faults
ZONE = ZoneInfo("America/Bogota")
OFFICE = "atencion-ciudadania"
FIRST_DAY = date(2026, 11, 30)
LAST_DAY = date(2026, 12, 29)
A_DAY = 98
CLOSED = ["2026-12-24", "2026-12-31"]
NAMES = ["Ana Niño", "José Peña", "María del Río", "Luz Ortiz", "Iván Muñoz", None]
SUBJECTS = [
    "Hay un bache frente al colegio",
    "Poda de un árbol",
    "Copia de un contrato",
    "Queja por la atención",
    "Luz apagada",
]


class Month(RunningTown):
    """All of requests and notifications, on one clock that is ahead."""

    def __init__(self, directory: Path, issuer: Issuer) -> None:
        self.ahead = directory / "ahead"
        set_ahead(self.ahead, 0)
        super().__init__(
            "test_month",
            directory,
            issuer,
            TEJIDO_RATE_LIMIT="1000000/minute",
            TEJIDO_LOG_LEVEL="WARNING",
            PYTHONPATH=str(Path(__file__).parent),
        )
        settings = CommonSettings(broker_url=SecretStr(self.redis.url))
        self.celery = make_celery("month", settings)
        self.random = random.Random(20261130)
        self.counts: Counter[str] = Counter()
        self.open: list[dict[str, Any]] = []
        self.answered: list[str] = []
        self.paused: list[tuple[dict[str, Any], datetime]] = []

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        if arguments[0] == "-m" and arguments[1] != "tejido_local.mailbox":
            arguments = (str(Path(__file__).parent / "moved_clock.py"), str(self.ahead), *arguments)
        super().start(name, *arguments, **environment)

    def move_to(self, instant: datetime) -> None:
        self.instant = instant
        set_ahead(self.ahead, (instant - datetime.now(UTC)).total_seconds())

    def now(self) -> datetime:
        seconds = struct.unpack("d", self.ahead.read_bytes()[:8])[0]
        return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.fixture
def month(tmp_path: Path, issuer: Issuer) -> Iterator[Month]:
    town = Month(tmp_path, issuer)
    try:
        town.migrate("requests", "notifications")
        yield town
    finally:
        town.close()


def test_a_month_at_a_desk(month: Month, issuer: Issuer, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    month.move_to(_at(FIRST_DAY, 6))
    month.start_service("requests")
    month.start_worker("tejido_requests.worker", "second-worker")
    month.start_relay("notifications")
    month.start_worker("tejido_notifications.worker", "notifications-worker")
    with httpx2.Client(base_url=month.urls["requests"], timeout=30) as client:
        desk = Desk(month, issuer, client)
        day = FIRST_DAY
        while day <= LAST_DAY:
            desk.work_through(day)
            day += timedelta(days=1)
        desk.settle_down()
    _check(month)
    with capsys.disabled():
        print(f"\n{dict(sorted(month.counts.items()))}\n{time.monotonic() - started:.0f} s", file=sys.stderr)


class Desk:
    """An office at work, day by day."""

    def __init__(self, month: Month, issuer: Issuer, client: httpx2.Client) -> None:
        self.month, self.client, self.random = month, client, month.random
        groups = (f"funcionario:{OFFICE}", f"jefatura:{OFFICE}", "administracion", "supervision")
        self.staff = issuer.headers(*groups, sub="funcionaria-1")
        self.head = issuer.headers(f"jefatura:{OFFICE}", "supervision", sub="jefa-1")
        self.types = self.client.get("/v1/request-types").json()

    def work_through(self, day: date) -> None:
        month = self.month
        month.move_to(_at(day, 0, 0) + timedelta(seconds=1))
        self._swept()
        month.move_to(_at(day, 8, 30))
        weekend = day.weekday() >= 5
        for _ in range(A_DAY // 6 if weekend else A_DAY):
            self._file(day, web=weekend or self.random.random() < 0.6)
        if not weekend:
            self._complete()
            self._act_on_some()
        self._swept()
        if day == date(2026, 12, 4):
            month.kill("second-worker")
        if day == date(2026, 12, 9):
            self._declare_closures()
        if day == date(2026, 12, 11):
            month.start_worker("tejido_requests.worker", "second-worker")
            month.kill("requests-worker")
        if day == date(2026, 12, 16):
            month.start_worker("tejido_requests.worker", "requests-worker")
            month.redis.stop()
            month.redis.start()

    def _file(self, day: date, *, web: bool) -> None:
        kind = self.random.choice(self.types)
        name = self.random.choice(NAMES)
        body: dict[str, Any] = {"subject": self.random.choice(SUBJECTS), "request_type": kind["code"]}
        if name:
            body["petitioner"] = {"name": name, "address": "Calle 0 n.º 0-00"}
        headers = {"Idempotency-Key": str(uuid4())}
        if kind["filed_by"] != "anyone" or kind["term"] is None:
            web = False
        if kind["term"] is None:
            body["due_date"] = (day + timedelta(days=self.random.randint(2, 12))).isoformat()
        if not web:
            headers |= self.staff
            body["channel"] = self.random.choice(["counter", "letter", "mail", "itinerant_desk"])
            if body["channel"] == "letter" and day > FIRST_DAY + timedelta(days=3) and kind["term"] is not None:
                body["received_at"] = (self.month.now() - timedelta(days=2, hours=1)).isoformat()
        answer = self.client.post("/v1/service-requests", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        self.month.counts["filed"] += 1
        self.month.counts[f"of type {kind['code']}"] += 1
        self.month.open.append(answer.json())

    def _act_on_some(self) -> None:
        month = self.month
        for _ in range(min(len(month.open) // 2, 75)):
            request = month.open.pop(self.random.randrange(len(month.open)))
            act = self.random.choices(list(self._ACTS), [weight for weight, _ in self._ACTS.values()])[0]
            before = month.counts[f"refused: {act}"]
            self._ACTS[act][1](self, request)
            if month.counts[f"refused: {act}"] == before:
                month.counts[act] += 1
            else:
                month.open.append(request)

    def _post(self, act: str, request: dict[str, Any], path: str, body: dict[str, Any], *, head: bool = False) -> Any:
        """409 and 422 are the law's no: counted, and nothing may have changed."""
        answer = self.client.post(
            f"/v1/service-requests/{request['id']}/{path}",
            json=body,
            headers={**(self.head if head else self.staff), "Idempotency-Key": str(uuid4())},
        )
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            self.month.counts[f"refused: {act}"] += 1
            self.month.counts[f"refused as {answer.json()['type'].rpartition(':')[2]}"] += 1
            return None
        return answer.json()

    def _answer(self, request: dict[str, Any]) -> None:
        if self._post("answer", request, "answer", {"text": "Se atendió lo pedido."}):
            self.month.answered.append(request["id"])
            if self.random.random() < 0.85:
                proof = {"notified_at": self.month.now().isoformat(), "evidence": "Acta de entrega"}
                if self._post("notification", request, "notification", proof):
                    self.month.counts["notified"] += 1

    def _pause(self, request: dict[str, Any]) -> None:
        if self._post("pause", request, "completion-requests", {"what": "Falta el plano."}):
            back = self.month.now() + timedelta(days=self.random.randint(0, 9))
            self.month.paused.append((request, back))

    def _complete(self) -> None:
        waiting, self.month.paused = self.month.paused, []
        for request, back in waiting:
            if back > self.month.now():
                self.month.paused.append((request, back))
                continue
            answer = self.client.post(
                f"/v1/tracking/{request['number']}/completion",
                json={"text": "Aquí está el plano."},
                headers={"Tracking-Code": request["tracking_code"], "Idempotency-Key": str(uuid4())},
            )
            assert answer.status_code < 300, answer.text
            self.month.counts["completed by the citizen"] += 1
            self.month.open.append(request)

    def _extend(self, request: dict[str, Any]) -> None:
        told = {"evidence": "Oficio entregado", "told_at": self.month.now().isoformat()}
        body = {"reasons": "Hace falta un concepto.", "added": self.random.randint(1, 12), **told}
        if self._post("extend", request, "extensions", body):
            self.month.open.append(request)

    def _retype(self, request: dict[str, Any]) -> None:
        kinds = [kind["code"] for kind in self.types if kind["term"] and kind["filed_by"] == "anyone"]
        body = {"request_type": self.random.choice(kinds), "reasons": "Es de otra clase."}
        if self._post("retype", request, "retype", body, head=self.random.random() < 0.3):
            self.month.open.append(request)

    def _transfer(self, request: dict[str, Any]) -> None:
        body = {"authority": "Acueducto", "reasons": "No es nuestra competencia.", "evidence": "Guía 123"}
        self._post("transfer", request, "transfers", body)

    def _withdraw(self, request: dict[str, Any]) -> None:
        self._post("withdraw", request, "withdrawal", {"evidence": "Escrito de la persona"})

    def _split(self, request: dict[str, Any]) -> None:
        parts = [{"subject": "Una parte"}, {"subject": "Otra parte"}]
        self._post("split", request, "split", {"children": parts, "reasons": "Son dos asuntos."})

    def _draft(self, request: dict[str, Any]) -> None:
        draft = self._post("draft", request, "drafts", {"text": "Proyecto de respuesta"})
        if draft is None:
            return
        path = f"drafts/{draft['id']}"
        if self._post("draft", request, f"{path}/submit", {}) and self._post(
            "draft", request, f"{path}/approve", {}, head=True
        ):
            self._post("draft", request, f"{path}/issue", {})
            self.month.answered.append(request["id"])

    _ACTS = {  # noqa: RUF012
        "answer": (50, _answer),
        "pause": (14, _pause),
        "extend": (12, _extend),
        "retype": (8, _retype),
        "transfer": (6, _transfer),
        "withdraw": (3, _withdraw),
        "split": (2, _split),
        "draft": (5, _draft),
    }

    def _declare_closures(self) -> None:
        closures = [
            {
                "starts_on": day,
                "ends_on": day,
                "name": "Cierre de fin de año",
                "act": "Decreto 700 de 2026",
                "scope": "municipality",
                "suspends_terms": True,
                "open_for_filing": True,
                "declared_at": "2026-12-09",
            }
            for day in CLOSED
        ]
        headers = {**self.staff, "Idempotency-Key": str(uuid4())}
        change = self.client.post("/v1/calendar/changes", json={"declare": closures}, headers=headers)
        assert change.status_code == 201, change.text
        preview = change.json()["preview"]
        path = f"/v1/calendar/changes/{change.json()['id']}"
        confirmed = self.client.post(
            f"{path}/confirm", json={}, headers={**self.staff, "Idempotency-Key": str(uuid4())}
        )
        assert confirmed.status_code < 300, confirmed.text
        # The desk goes on meanwhile.
        for _ in range(20):
            self._file(date(2026, 12, 9), web=True)
        wait_until(lambda: self.client.get(path, headers=self.staff).json()["status"] == "done", 120, "the re-dating")
        done = self.client.get(path, headers=self.staff).json()
        assert done["moved"] > 0
        assert done["moved"] == preview["moved"], (done, preview)
        self.month.counts["moved by the closure"] = done["moved"]

    def _swept(self) -> None:
        """Until every alarm that is due was announced."""
        database = self.month.database("requests")

        def quiet() -> bool:
            with database.tx() as session:
                query = sa.text("select count(*) from service_request where alarm_at <= :now")
                if session.scalar(query, {"now": self.month.now()}) == 0:
                    return True
            # Sooner than the timetable says, so that a month passes in minutes.
            with suppress(OperationalError):
                send(self.month.celery, "requests.announce", [], "requests.work")
            time.sleep(0.3)
            return False

        wait_until(quiet, 60, "the alarms")

    def settle_down(self) -> None:
        self.month.move_to(_at(LAST_DAY, 23, 59))
        self._swept()
        database = self.month.database("requests")

        def left() -> list[Any]:
            query = (
                "select envelope->>'type', sent, due_at - now(), now() - created_at from outbox order by id limit 20"
            )
            with database.tx() as session:
                return list(session.execute(sa.text(query)))

        try:
            wait_until(lambda: not left(), 120, "the events")
        except AssertionError:
            with self.month.database("notifications").tx() as session:
                dead = list(session.execute(sa.text("select type, attempts, error, last_failed_at from dead_letter")))
            raise AssertionError(f"events are left: {left()}; failed: {dead}\n{self.month.said()}") from None


def _check(month: Month) -> None:
    """In a process that has the town's keys."""
    said = month.run(str(Path(__file__).parent / "check_month.py"), month.now().isoformat())
    month.counts.update(json.loads(said.splitlines()[-1]))
    with month.database("notifications").tx() as session:
        query = "select count(distinct cause_id), count(*) from delivery where cause_type in :types"
        types = sa.bindparam("types", ["requests.reminder", "requests.became_overdue"], expanding=True)
        reached, letters = session.execute(sa.text(query).bindparams(types)).one()
    assert reached == month.counts["announcements told"]
    month.counts["letters to staff"] = letters
    assert month.run("-m", "tejido_requests", "audit", "verify")


def _at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE)
