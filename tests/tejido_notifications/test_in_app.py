"""Boxes of the application: who sees them, what is read, and streams that lose nothing and double nothing."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import fastapi.routing
import httpx2
import pytest
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tejido_notifications.channels import Message
from tejido_notifications.channels.in_app import InAppChannel
from tejido_notifications.db import database
from tejido_notifications.in_app import routes, service, streams
from tejido_notifications.letters.writing import Letter
from tejido_notifications.models import InAppMessage
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared.api import create_api
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.testing import Issuer, wait_until

MESSAGES = "/v1/me/messages"


def _app() -> FastAPI:
    return create_api(
        "notifications",
        title="boxes",
        description="",
        version="1",
        routers=[routes.router],
        settings=settings(),
        database=database,
        jurisdiction=jurisdiction(),
    )


@pytest.fixture
def client(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(_app()) as client:
        yield client


@pytest.fixture
def served(databases: dict[str, Database], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The API on a real socket, whose poller looks ten times a second."""
    monkeypatch.setattr(streams, "EVERY", 0.1)
    with _serving() as url:
        yield url


@contextmanager
def _serving() -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=300)
    server = uvicorn.Server(uvicorn.Config(_app(), log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()


def _put(box: str, title: str = "Asunto") -> UUID:
    message = Message(new_id(), box, Letter(title, "Texto\n", "es"), about=new_id())
    with InAppChannel().open() as line:
        assert line.send(message).result == "accepted"
    return message.id


def test_everybody_sees_their_own_boxes_and_nothing_else(client: TestClient, issuer: Issuer) -> None:
    boxes = [
        "account:ana",
        "account:luis",
        "office:oficina-juridica",
        "head:oficina-juridica",
        "office:asuntos-comunales",
    ]
    ids = {box: str(_put(box, f"A {box}")) for box in boxes}
    callers = {
        "ana": (issuer.headers(sub="ana"), ["account:ana"]),
        "luis": (
            issuer.headers("funcionario:oficina-juridica", sub="luis"),
            ["account:luis", "office:oficina-juridica"],
        ),
        "eva": (
            issuer.headers("jefatura:oficina-juridica", sub="eva"),
            ["office:oficina-juridica", "head:oficina-juridica"],
        ),
        "root": (issuer.headers("administracion", sub="root"), []),
        "ana'": (issuer.headers(sub="office:oficina-juridica"), []),
    }
    for headers, mine in callers.values():
        found = client.get(MESSAGES, headers=headers).json()["items"]
        assert sorted(item["box"] for item in found) == sorted(mine)
        assert client.get(f"{MESSAGES}/count", headers=headers).json() == {"unread": len(mine)}
        for box in set(boxes) - set(mine):
            assert client.post(f"{MESSAGES}/{ids[box]}/read", headers=headers).status_code == 404
    for method, path in (("GET", ""), ("GET", "/count"), ("GET", "/stream"), ("POST", "/read-all")):
        assert client.request(method, MESSAGES + path).status_code == 401
    with database.tx() as session:
        raw = session.execute(sa.text("select title, body from in_app_message")).all()
    assert all(b"A account" not in bytes(row.title) and b"Texto" not in bytes(row.body) for row in raw)


def test_messages_are_read_once_and_in_pages(client: TestClient, issuer: Issuer) -> None:
    ana = issuer.headers(sub="ana")
    ids = [str(_put("account:ana", f"{number}")) for number in range(7)]
    page = client.get(MESSAGES, params={"limit": 3}, headers=ana).json()
    assert [item["title"] for item in page["items"]] == ["6", "5", "4"]
    following = client.get(MESSAGES, params={"limit": 3, "cursor": page["next"]}, headers=ana).json()
    assert [item["title"] for item in following["items"]] == ["3", "2", "1"]

    first = client.post(f"{MESSAGES}/{ids[6]}/read", headers={**ana, "Idempotency-Key": "1"}).json()
    assert first["read_at"] is not None
    for headers in ({**ana, "Idempotency-Key": "1"}, ana):
        assert client.post(f"{MESSAGES}/{ids[6]}/read", headers=headers).json() == first
    read_all = client.post(f"{MESSAGES}/read-all", json={"up_to": page["items"][1]["sequence"] - 1}, headers=ana)
    assert read_all.json() == {"unread": 1}  # what came after what was seen
    unread = client.get(MESSAGES, params={"unread": True}, headers=ana).json()["items"]
    assert [item["id"] for item in unread] == [ids[5]]
    assert len(client.get(MESSAGES, params={"unread": False}, headers=ana).json()["items"]) == 6
    for bad in ({"up_to": -1}, {"up_to": 2**63}, {}, {"up_to": "x"}):
        assert client.post(f"{MESSAGES}/read-all", json=bad, headers=ana).status_code == 422
    for params in ({"cursor": "x"}, {"unread": "quizá"}, {"sort": "at"}, {"after": "1"}):
        assert client.get(MESSAGES, params=params, headers=ana).status_code == 422
    for number in ("-1", "x", str(2**63)):
        answer = client.get(f"{MESSAGES}/stream", headers={**ana, "Last-Event-ID": number})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


class Listener:
    """One open stream, read in a thread of its own until it ends or is cut."""

    def __init__(self, url: str, headers: dict[str, str], **params: Any) -> None:
        self.events: list[tuple[int, str]] = []
        self.comments = 0
        self.ended = threading.Event()
        self.opened = threading.Event()
        self._http = httpx2.Client(timeout=30, trust_env=False, verify=False)
        self._request = f"{url}{MESSAGES}/stream", headers, params
        threading.Thread(target=self._listen, daemon=True).start()
        assert self.opened.wait(15)

    def _listen(self) -> None:
        url, headers, params = self._request
        with suppress(httpx2.HTTPError, httpx2.StreamError, OSError, RuntimeError):
            with self._http.stream("GET", url, headers=headers, params=params) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                self._answer = answer
                self.opened.set()
                title = ""
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        title = json.loads(line.removeprefix("data: "))["title"]
                    elif line.startswith("id: "):
                        self.events.append((int(line.removeprefix("id: ")), title))
                    elif line.startswith(":"):
                        self.comments += 1
        self.ended.set()

    @property
    def titles(self) -> list[str]:
        return [title for _, title in self.events]

    def cut(self) -> None:
        network = self._answer.extensions["network_stream"].get_extra_info("socket")
        with suppress(OSError):
            network.shutdown(socket.SHUT_RDWR)
        self.ended.wait(5)


def test_a_stream_resumes_after_a_cut_without_loss_or_doubling(served: str, issuer: Issuer) -> None:
    ana = issuer.headers(sub="ana")
    _put("account:ana", "before")
    listener = Listener(served, ana)
    time.sleep(0.3)
    _put("account:luis", "not hers")
    for number in range(3):
        _put("account:ana", f"{number}")
    wait_until(lambda: len(listener.events) == 3)
    listener.cut()
    last, _ = listener.events[-1]
    for number in range(3, 250):  # more than a stream takes at once
        _put("account:ana", f"{number}")
    again = Listener(served, {**ana, "Last-Event-ID": str(last)})
    wait_until(lambda: len(again.events) == 247)
    _put("account:ana", "250")
    wait_until(lambda: len(again.events) == 248)
    assert listener.titles + again.titles == [*map(str, range(250)), "250"]
    from_the_list = Listener(served, ana, after=last)
    wait_until(lambda: from_the_list.titles == again.titles)


_WRITER = """
import sys
from uuid import uuid4
from tejido_notifications.db import tx
from tejido_notifications.in_app import service
name, count = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    with tx() as session:
        service.put(session, uuid4(), box="office:oficina-juridica", about=uuid4(), title=f"{name}{number}", body="x")
"""


def test_what_several_processes_write_comes_once_and_in_order(
    served: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that are cut all the time, while two processes write as fast as they can."""
    eva = issuer.headers("funcionario:oficina-juridica", sub="eva")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, name, "120"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    events: list[tuple[int, str]] = []
    cuts = 0
    until = time.monotonic() + 60
    while len(events) < 240 and time.monotonic() < until:
        begin = str(events[-1][0]) if events else "0"
        listener = Listener(served, {**eva, "Last-Event-ID": begin})
        time.sleep(0.3)
        listener.cut()
        cuts += 1
        events += listener.events
    assert [writer.wait(30) for writer in writers] == [0, 0]
    assert cuts > 1
    assert [number for number, _ in events] == sorted({number for number, _ in events})
    for name in "ab":
        assert [title for _, title in events if title[0] == name] == [f"{name}{number}" for number in range(120)]


def test_a_writer_that_is_slow_to_commit_makes_the_later_ones_wait(served: str, issuer: Issuer) -> None:
    """A message with a lower number never shows after one with a higher number."""
    listener = Listener(served, issuer.headers(sub="ana"), after=0)
    with database.tx() as session:
        service.put(session, new_id(), box="account:ana", about=new_id(), title="slow", body="x")
        later = threading.Thread(target=_put, args=("account:ana", "fast"))
        later.start()
        time.sleep(0.6)
        assert listener.events == []
    later.join()
    wait_until(lambda: listener.titles == ["slow", "fast"])
    with database.tx() as session:
        numbers = session.scalars(sa.select(InAppMessage.sequence).order_by(InAppMessage.sequence)).all()
    assert [number for number, _ in listener.events] == list(numbers)


def test_a_stream_shows_no_box_but_its_owner_s(served: str, issuer: Issuer) -> None:
    ana = Listener(served, issuer.headers(sub="ana"), after=0)
    eva = Listener(served, issuer.headers("jefatura:oficina-juridica", sub="eva"), after=0)
    for box in (
        "account:ana",
        "account:eva",
        "office:oficina-juridica",
        "head:oficina-juridica",
        "head:asuntos-comunales",
    ):
        _put(box, box)
    wait_until(lambda: len(eva.events) == 3)
    time.sleep(0.5)
    assert ana.titles == ["account:ana"]
    assert eva.titles == ["account:eva", "office:oficina-juridica", "head:oficina-juridica"]


def test_a_stream_ends_with_its_token_and_says_that_it_lives(
    served: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.2)
    token = issuer.token(sub="ana", exp=datetime.now(UTC) + timedelta(seconds=2))
    started = time.monotonic()
    listener = Listener(served, {"Authorization": f"Bearer {token}"})
    assert listener.ended.wait(10)
    assert 1 < time.monotonic() - started < 5
    assert listener.comments > 3
    wait_until(lambda: not streams._open and streams._poller is None)


def test_two_hundred_open_streams_hold_neither_connections_nor_threads(served: str, issuer: Issuer) -> None:
    headers = [issuer.headers("funcionario:oficina-juridica", sub=f"persona-{number}") for number in range(200)]
    with ExitStack() as stack:
        with ThreadPoolExecutor(20) as pool:
            listeners = list(pool.map(lambda one: Listener(served, one, after=0), headers))
        for listener in listeners:
            stack.callback(listener.cut)
        assert len(streams._open) == 200
        time.sleep(1)
        assert database.engine.pool.checkedout() <= 2  # type: ignore[attr-defined]
        took = _seconds(lambda: httpx2.get(f"{served}{MESSAGES}/count", headers=headers[0], trust_env=False))
        _put("office:oficina-juridica", "to all")
        waited = wait_until(lambda: all(listener.titles == ["to all"] for listener in listeners))
        print(f"beside 200 streams: a read in {took:.3f} s, a message to all of them in {waited:.2f} s")
        assert took < 2
        assert database.engine.pool.checkedout() <= 2  # type: ignore[attr-defined]
        for listener in listeners:
            listener.cut()
    wait_until(lambda: not streams._open and streams._poller is None)


def _seconds(act: Callable[[], httpx2.Response]) -> float:
    started = time.monotonic()
    assert act().status_code == 200
    return time.monotonic() - started


def test_streams_outlive_a_database_that_is_away(served: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(served, issuer.headers(sub="ana"), after=0)
    away = threading.Event()
    newest = streams._newest

    def sometimes(boxes: list[str]) -> dict[str, int]:
        if away.is_set():
            raise sa.exc.OperationalError("select", {}, Exception("gone"))
        return newest(boxes)

    monkeypatch.setattr(streams, "_newest", sometimes)
    _put("account:ana", "before")
    wait_until(lambda: listener.titles == ["before"])
    time.sleep(0.3)
    away.set()
    _put("account:ana", "meanwhile")
    time.sleep(0.5)
    assert listener.titles == ["before"]
    away.clear()
    wait_until(lambda: listener.titles == ["before", "meanwhile"])
