"""Documents of a request over HTTP."""

import hashlib
import io
import os
import select
import socket
import socketserver
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import sqlalchemy as sa
import uvicorn
from fastapi.testclient import TestClient

from tejido_requests.app import create_app
from tejido_requests.attachments import service, tasks
from tejido_requests.db import tx
from tejido_requests.models import AccessRecord, Attachment, HistoryEntry, ServiceRequest
from tejido_requests.settings import settings
from tejido_requests.worker import SCAN_FILES, SWEEP_FILES, TIMETABLE
from tejido_shared import clock
from tejido_shared.clock import now
from tejido_shared.files import Store
from tejido_shared.testing import Issuer

OFFICE = "atencion-ciudadania"
PDF = b"%PDF-1.7\n" + b"1 0 obj << >> endobj\n" * 10
MEGA = 1_000_000


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    for key in list(service.store.keys(now() + timedelta(days=400))):
        service.store.delete(key)


def _file(api: TestClient, **changes: Any) -> dict[str, Any]:
    answer = api.post("/v1/service-requests", json={"subject": "Bache", "petitioner": {"name": "Ana"}} | changes)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _citizen(receipt: dict[str, Any]) -> tuple[str, dict[str, str]]:
    return f"/v1/tracking/{receipt['number']}/attachments", {"Tracking-Code": receipt["tracking_code"]}


def _desk(receipt: dict[str, Any]) -> str:
    return f"/v1/service-requests/{receipt['id']}/attachments"


def _send(
    api: TestClient | httpx2.Client,
    path: str,
    headers: dict[str, str],
    content: bytes = PDF,
    name: str = "Carta de Ana.pdf",
    **said: Any,
) -> Any:
    return api.post(
        path,
        headers=headers,
        data={"purpose": "petition"} | said,
        files={"file": (name, content, "application/octet-stream")},
    )


def _kept() -> int:
    return len(list(service.store.keys(now() + timedelta(days=400))))


@contextmanager
def clamd(verdict: bytes) -> Iterator[str]:
    """A scanner on loopback that always says the same."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            assert self.rfile.read(10) == b"zINSTREAM\0"
            while size := int.from_bytes(self.rfile.read(4), "big"):
                self.rfile.read(size)
            self.wfile.write(verdict)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def scanner(address: str) -> Iterator[None]:
    """Within the block the service has this scanner."""
    common = settings().common
    before = common.clamav
    common.clamav = address
    try:
        yield
    finally:
        common.clamav = before


def test_what_the_citizen_sends_comes_back_as_it_was(api: TestClient, officer: dict[str, str]) -> None:
    receipt = _file(api)
    path, code = _citizen(receipt)
    sent = _send(api, path, code)
    assert sent.status_code == 201, sent.text
    row = sent.json()
    assert (
        row
        | {
            "purpose": "petition",
            "public": True,
            "name": "Carta de Ana.pdf",
            "media_type": "application/pdf",
            "size": len(PDF),
            "sha256": hashlib.sha256(PDF).hexdigest(),
            "status": "ready",
            "uploaded_by": None,
        }
        == row
    )
    for listing, headers in ((path, code), (_desk(receipt), officer)):
        assert api.get(listing, headers=headers).json() == [row]
        got = api.get(f"{listing}/{row['id']}", headers=headers)
        assert got.content == PDF
        assert got.headers["content-type"] == "application/pdf"
        assert got.headers["content-disposition"].startswith('attachment; filename="Carta de Ana.pdf"')
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-length"] == str(len(PDF))
    told = api.get(f"/v1/tracking/{receipt['number']}", headers=code).json()["history"]
    assert [entry["kind"] for entry in told] == ["received", "attached"]
    with tx() as session:
        entry = session.scalars(sa.select(HistoryEntry).where(HistoryEntry.kind == "attached")).one()
        assert entry.details == {"purpose": "petition", "media_type": "application/pdf", "size": len(PDF)}
        stored = session.execute(sa.text("select a::text, h::text from attachment a, history_entry h")).all()
        assert "Ana" not in str(stored)


def test_nobody_else_sees_or_sends_anything(api: TestClient, issuer: Issuer, officer: dict[str, str]) -> None:
    receipt, other = _file(api), _file(api)
    path, code = _citizen(receipt)
    row = _send(api, path, code).json()
    wrong = {"Tracking-Code": other["tracking_code"]}
    assert _send(api, path, wrong).status_code == 404
    assert api.get(path, headers=wrong).status_code == 404
    assert api.get(f"{path}/{row['id']}", headers=wrong).status_code == 404
    assert api.get(f"{_citizen(other)[0]}/{row['id']}", headers=wrong).status_code == 404
    assert api.get(f"{_desk(other)}/{row['id']}", headers=officer).status_code == 404
    elsewhere = issuer.headers("funcionario:otra-oficina")
    assert _send(api, _desk(receipt), elsewhere).status_code == 404
    assert api.get(f"{_desk(receipt)}/{row['id']}", headers=elsewhere).status_code == 404
    assert _send(api, _desk(receipt), issuer.headers("auditoria")).status_code == 403
    assert _send(api, _desk(receipt), {}).status_code == 401
    assert api.get(f"{_desk(receipt)}/{row['id']}", headers=issuer.headers("auditoria")).content == PDF
    assert _kept() == 1


def test_the_citizen_sees_what_is_public_and_an_answer_once_it_is_one(api: TestClient, officer: dict[str, str]) -> None:
    receipt = _file(api)
    path, code = _citizen(receipt)
    said = [
        ({"purpose": "note"}, False),
        ({"purpose": "note", "public": "true"}, True),
        ({"purpose": "evidence"}, False),
        ({"purpose": "completion", "public": "false"}, False),
        ({"purpose": "answer"}, True),
    ]
    rows = []
    for turn, (fields, public) in enumerate(said):
        answer = _send(api, _desk(receipt), officer, PDF + b"%%d" * turn, f"{turn}.pdf", **fields)
        assert (answer.status_code, answer.json()["public"]) == (201, public)
        assert answer.json()["uploaded_by"] == "funcionaria-1"
        rows.append(answer.json())
    seen = api.get(path, headers=code).json()
    assert [(row["name"], row["uploaded_by"]) for row in seen] == [("1.pdf", None)]
    assert api.get(f"{path}/{rows[0]['id']}", headers=code).status_code == 404
    assert api.get(f"{path}/{rows[4]['id']}", headers=code).status_code == 404
    assert len(api.get(_desk(receipt), headers=officer).json()) == 5
    with tx() as session:
        request = session.get_one(ServiceRequest, receipt["id"])
        request.answered_at = now()
    assert api.get(f"{path}/{rows[4]['id']}", headers=code).status_code == 200
    assert _send(api, path, code, purpose="answer").json()["errors"][0]["field"] == "body.purpose"


def test_the_same_bytes_for_the_same_purpose_are_one_document(api: TestClient, officer: dict[str, str]) -> None:
    receipt = _file(api)
    path, code = _citizen(receipt)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: _send(api, path, code), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert _send(api, path, code, purpose="evidence").status_code == 201
    assert _send(api, _desk(receipt), officer).status_code == 200
    assert _kept() == 2
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(HistoryEntry)) == 3


def test_how_many_and_until_when(api: TestClient, officer: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "attachments_per_request", 3)
    receipt = _file(api)
    path, code = _citizen(receipt)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda turn: _send(api, path, code, PDF + b"%" * turn), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    full = next(answer for answer in answers if answer.status_code == 409).json()
    assert (full["title"], "3" in full["detail"]) == ("Hay demasiados documentos", True)
    assert _kept() == 3
    assert _send(api, _desk(receipt), officer, PDF + b"%%%desk").status_code == 201
    with tx() as session:
        session.execute(sa.update(ServiceRequest).values(closed_at=now(), status="notified"))
        session.execute(sa.delete(Attachment))
    assert _send(api, path, code).json()["title"] == "La solicitud ya terminó"
    assert _send(api, _desk(receipt), officer, purpose="evidence").status_code == 201


def test_what_is_wrong_with_a_form_is_said(api: TestClient) -> None:
    path, code = _citizen(_file(api))

    def errors(answer: Any) -> set[tuple[str, str]]:
        assert answer.status_code == 422, answer.text
        return {(error["field"], error["code"]) for error in answer.json()["errors"]}

    assert errors(api.post(path, headers=code, data={"x": "1"})) == {
        ("body.file", "missing"),
        ("body.purpose", "missing"),
        ("body.x", "extra_forbidden"),
    }
    assert errors(api.post(path, headers=code, json={})) == {("body.file", "missing"), ("body.purpose", "missing")}
    assert errors(_send(api, path, code, b"MZ\x90\x00" * 10, "carta.pdf")) == {("body.file", "file_type_not_allowed")}
    assert errors(_send(api, path, code, PDF, "carta.exe")) == {("body.file", "file_name_contradicts")}
    assert errors(_send(api, path, code, b"")) == {("body.file", "file_empty")}
    broken = api.post(path, headers=code | {"Content-Type": "multipart/form-data; boundary=x"}, content=b"--y\r\n")
    assert broken.status_code in (400, 422)
    assert _kept() == 0


def test_looking_at_a_confidential_persons_document_is_recorded(
    api: TestClient, issuer: Issuer, officer: dict[str, str]
) -> None:
    receipt = _file(api, confidential=True)
    path, code = _citizen(receipt)
    row = _send(api, path, code).json()
    assert row["name"] == "Carta de Ana.pdf"
    assert [item["name"] for item in api.get(_desk(receipt), headers=officer).json()] == [None]
    for headers in (officer, issuer.headers("auditoria", sub="auditora-1")):
        assert api.get(f"{_desk(receipt)}/{row['id']}", headers=headers).status_code == 200
    assert api.get(f"{path}/{row['id']}", headers=code).status_code == 200
    with tx() as session:
        seen = session.scalars(sa.select(AccessRecord).order_by(AccessRecord.at)).all()
        assert [(one.subject, one.what, str(one.request_id)) for one in seen] == [
            ("funcionaria-1", "attachment", receipt["id"]),
            ("auditora-1", "attachment", receipt["id"]),
        ]
    ordinary = _file(api)
    plain = _send(api, *_citizen(ordinary)).json()
    api.get(f"{_desk(ordinary)}/{plain['id']}", headers=officer)
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(AccessRecord)) == 2


def test_nothing_is_given_out_before_the_scanner_saw_it(api: TestClient, officer: dict[str, str]) -> None:
    receipt = _file(api)
    path, code = _citizen(receipt)
    with scanner("127.0.0.1:1"):
        rows = [_send(api, path, code, PDF + b"%" * turn).json() for turn in range(2)]
        assert [row["status"] for row in rows] == ["not_scanned"] * 2
        for listing, headers in ((path, code), (_desk(receipt), officer)):
            refused = api.get(f"{listing}/{rows[0]['id']}", headers=headers)
            assert (refused.status_code, refused.json()["title"]) == (409, "El documento aún no se ha revisado")
        assert tasks.scan() == 0
    with clamd(b"stream: OK\0") as address, scanner(address):
        assert tasks.scan() == 2
        assert tasks.scan() == 0
        assert api.get(f"{path}/{rows[0]['id']}", headers=code).content == PDF
    with clamd(b"stream: Eicar FOUND\0") as address, scanner(address):
        refused = _send(api, path, code, PDF + b"%%%")
        assert refused.json()["errors"][0]["code"] == "file_infected"
        with tx() as session:
            session.execute(sa.update(Attachment).where(Attachment.id == rows[1]["id"]).values(scanned_at=None))
        assert tasks.scan() == 1
    for listing, headers in ((path, code), (_desk(receipt), officer)):
        gone = api.get(f"{listing}/{rows[1]['id']}", headers=headers)
        assert (gone.status_code, gone.json()["title"]) == (410, "El documento ya no está")
    assert _kept() == 1
    told = api.get(f"/v1/tracking/{receipt['number']}", headers=code).json()["history"]
    assert told[-1]["kind"] == "attachment_infected"


def test_two_that_scan_at_once_say_it_once(api: TestClient) -> None:
    receipt = _file(api)
    path, code = _citizen(receipt)
    with scanner("127.0.0.1:1"):
        _send(api, path, code)
    with clamd(b"stream: Eicar FOUND\0") as address, scanner(address), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: tasks.scan(), range(4)))
    told = api.get(f"/v1/tracking/{receipt['number']}", headers=code).json()["history"]
    assert [entry["kind"] for entry in told] == ["received", "attached", "attachment_infected"]
    assert _kept() == 0
    assert TIMETABLE[SCAN_FILES] == 60 > tasks.SCAN_SECONDS


def test_a_verdict_on_another_file_is_not_taken(api: TestClient) -> None:
    path, code = _citizen(_file(api))
    with scanner("127.0.0.1:1"):
        row = _send(api, path, code).json()
    with tx() as session:
        assert not service.scanned(session, UUID(row["id"]), uuid4(), now(), infected=True)
        assert session.get_one(Attachment, UUID(row["id"])).infected is False


@pytest.mark.parametrize("harm", ["gone", "altered"])
def test_a_document_whose_file_is_lost_is_a_problem_and_told_to_the_operator(
    api: TestClient, officer: dict[str, str], caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    receipt = _file(api)
    path, code = _citizen(receipt)
    row = _send(api, path, code).json()
    (key,) = service.store.keys(now() + timedelta(days=400))
    file = Path(settings().common.files) / "requests" / str(key)
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(b"x" * file.stat().st_size)
    for listing, headers in ((path, code), (_desk(receipt), officer)):
        lost = api.get(f"{listing}/{row['id']}", headers=headers)
        assert (lost.status_code, lost.json()["title"]) == (503, "El documento no se puede leer")
    told = [record.msg for record in caplog.records if record.levelname == "ERROR"]
    assert [(line["event"], line["attachment"]) for line in told] == [("attachment_unreadable", row["id"])] * 2  # type: ignore[index]


def test_who_only_sees_a_request_attaches_nothing(api: TestClient, issuer: Issuer) -> None:
    receipt = _file(api)
    auditor = issuer.headers("auditoria", "funcionario:oficina-juridica")
    assert api.get(_desk(receipt), headers=auditor).status_code == 200
    assert _send(api, _desk(receipt), auditor).json()["type"].endswith("not_of_the_office")
    assert _kept() == 0


def test_what_was_taken_for_a_virus_may_be_sent_again(api: TestClient) -> None:
    receipt = _file(api)
    path, code = _citizen(receipt)
    with scanner("127.0.0.1:1"):
        row = _send(api, path, code).json()
    with clamd(b"stream: Mistaken FOUND\0") as address, scanner(address):
        assert tasks.scan() == 1
    with clamd(b"stream: OK\0") as address, scanner(address):
        again = _send(api, path, code)
        assert (again.status_code, again.json()["id"], again.json()["status"]) == (201, row["id"], "ready")
        assert api.get(f"{path}/{row['id']}", headers=code).content == PDF
    told = api.get(f"/v1/tracking/{receipt['number']}", headers=code).json()["history"]
    assert [entry["kind"] for entry in told] == ["received", "attached", "attachment_infected", "attached"]


def test_filing_goes_on_while_the_store_is_away(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    receipt = _file(api)
    path, code = _citizen(receipt)
    row = _send(api, path, code).json()
    away = {"files": "s3://town/files", "files_endpoint": "http://127.0.0.1:1", "files_region": "x", "files_key": "x"}
    with monkeypatch.context() as patched:
        patched.setattr(service, "store", Store("requests", lambda: settings().common.model_copy(update=away)))
        for answer in (_send(api, path, code, PDF + b"%"), api.get(f"{path}/{row['id']}", headers=code)):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
            assert answer.json()["title"] == "Los documentos no están disponibles por el momento"
        assert [item["id"] for item in api.get(path, headers=code).json()] == [row["id"]]
        assert _file(api)["number"]
    assert _send(api, path, code, PDF + b"%").status_code == 201


def test_filing_goes_on_while_the_scanner_hangs(api: TestClient) -> None:
    receipts = [_file(api) for _ in range(settings().database_pool + 1)]
    with (
        socket.create_server(("127.0.0.1", 0), backlog=50) as silent,
        scanner(f"127.0.0.1:{silent.getsockname()[1]}"),
        served() as (host, port),
        httpx2.Client(base_url=f"http://{host}:{port}", timeout=60) as http,
        ThreadPoolExecutor(len(receipts)) as pool,
    ):
        sent = [pool.submit(_send, http, *_citizen(receipt)) for receipt in receipts]
        assert select.select([silent], [], [], 20)[0]
        time.sleep(0.5)  # until every thread that serves could be one that waits
        started = time.monotonic()
        assert http.post("/v1/service-requests", json={"subject": "Bache"}).status_code == 201
        assert time.monotonic() - started < 10
        silent.close()
        assert [answer.result().json()["status"] for answer in sent] == ["not_scanned"] * len(receipts)


def test_a_file_without_a_row_is_swept_after_a_day(api: TestClient) -> None:
    path, code = _citizen(_file(api))
    row = _send(api, path, code).json()
    lost = service.store.take_in(io.BytesIO(b"x"), "x.txt", largest=MEGA)
    assert tasks.sweep() == 0
    with clock.moved_to(now() + timedelta(hours=25)):
        assert tasks.sweep() == 1
        assert not service.store.exists(lost.key)
        assert api.get(f"{path}/{row['id']}", headers=code).content == PDF
    assert TIMETABLE[SWEEP_FILES] == 3600


@contextmanager
def served() -> Iterator[tuple[str, int]]:
    """The API on a real socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def _form(size: int) -> tuple[Iterator[bytes], int]:
    """A multipart body with a PDF of `size` bytes, in pieces, and its length."""
    head = (
        b'--limit\r\nContent-Disposition: form-data; name="purpose"\r\n\r\npetition\r\n'
        b'--limit\r\nContent-Disposition: form-data; name="file"; filename="x.pdf"\r\n\r\n' + PDF
    )
    tail = b"\r\n--limit--\r\n"

    def pieces() -> Iterator[bytes]:
        yield head
        left = size - len(PDF)
        while left:
            piece = os.urandom(min(left, 1 << 16))
            left -= len(piece)
            yield piece
        yield tail

    return pieces(), len(head) + size - len(PDF) + len(tail)


MULTIPART = {"Content-Type": "multipart/form-data; boundary=limit"}


def test_a_large_document_is_never_in_memory(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "largest_attachment", 60)
    receipt = _file(api)
    path, code = _citizen(receipt)
    with served() as (host, port), httpx2.Client(base_url=f"http://{host}:{port}", timeout=60) as http:
        http.get("/health/live")
        tracemalloc.start()
        pieces, _ = _form(60 * MEGA)
        sent = http.post(path, headers=code | MULTIPART, content=pieces)  # chunked, without a length
        assert sent.status_code == 201, sent.text
        received = 0
        with http.stream("GET", f"{path}/{sent.json()['id']}", headers=code) as got:
            for piece in got.iter_bytes():
                received += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert received == 60 * MEGA
    assert peak < 24 * MEGA  # as much for any length


def test_too_much_is_refused_while_it_comes(api: TestClient) -> None:
    receipt = _file(api)
    path, code = _citizen(receipt)
    with served() as (host, port), httpx2.Client(base_url=f"http://{host}:{port}", timeout=60) as http:
        over, _ = _form(25 * MEGA + 1)  # within what a form may have
        refused = http.post(path, headers=code | MULTIPART, content=over)
        assert refused.json()["errors"][0]["code"] == "file_too_large"

        drawn = 0

        def endless() -> Iterator[bytes]:
            nonlocal drawn
            for piece in _form(400 * MEGA)[0]:
                drawn += len(piece)
                yield piece

        # Whether the client reads the answer or meets a closed door, the service stopped reading.
        with suppress(httpx2.HTTPError):
            assert http.post(path, headers=code | MULTIPART, content=endless()).status_code == 413
        assert drawn < 60 * MEGA

        drawn = 0
        with suppress(httpx2.HTTPError):
            wrong = http.post(path, headers={"Tracking-Code": "X"} | MULTIPART, content=endless())
            assert wrong.status_code == 404
        assert drawn < 20 * MEGA

    with served() as (host, port):
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTracking-Code: {receipt['tracking_code']}\r\n"
        head += f"Content-Type: {MULTIPART['Content-Type']}\r\n"
        body = b"".join(_form(1000)[0])
        # Announces too much: refused before a byte of it came.
        with socket.create_connection((host, port), timeout=10) as line:
            line.sendall(f"{head}Content-Length: {26 * MEGA}\r\n\r\n".encode())
            assert b" 413 " in line.recv(4096).split(b"\r\n")[0]
        # Announces less than comes: what is beyond is no part of it, and the form is cut off.
        with socket.create_connection((host, port), timeout=10) as line:
            line.sendall(f"{head}Content-Length: {len(body) - 300}\r\n\r\n".encode() + body)
            assert line.recv(4096).split(b" ")[1] in (b"400", b"422")
        # Announces more than comes, and goes away.
        with socket.create_connection((host, port), timeout=10) as line:
            line.sendall(f"{head}Content-Length: {len(body) + 300}\r\n\r\n".encode() + body)
            line.shutdown(socket.SHUT_WR)
            line.recv(4096)
    assert api.post("/v1/service-requests", content=b" " * (MEGA + 1)).status_code == 413
    assert _kept() == 0
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Attachment)) == 0
