"""The vault: what is handed in once, who sees it, and what it serves."""

import argparse
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken
from fastapi.testclient import TestClient

from tejido_registry import rotation
from tejido_registry import service as register
from tejido_registry.app import create_app
from tejido_registry.db import database, tx
from tejido_registry.documents import service, tasks
from tejido_registry.imports import files as imports
from tejido_registry.models import Document, HistoryEntry, Person
from tejido_registry.settings import settings
from tejido_shared import personal, seam
from tejido_shared.clock import moved_to, now
from tejido_shared.db import Database
from tejido_shared.personal import fingerprints
from tejido_shared.reencryption import UNREADABLE
from tejido_shared.settings import CommonSettings
from tejido_shared.testing import Issuer

PDF = b"%PDF-1.4\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"
KIND = "community_action_board"
BODY = {
    "name": "Junta de Acción Comunal La Peña",
    "organization_type": KIND,
    "territory": "Suba",
    "contacts": [{"name": "Ana Niño", "email": "jac@example.org"}],
}
Call = Callable[..., Any]


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def call(api: TestClient, issuer: Issuer) -> Call:
    groups = {"registradora": ["registro"], "autoridad": ["autoridad-registro"], "auditora": ["auditoria"]}

    def do(method: str, path: str, who: str, **content: Any) -> Any:
        own = groups.get(who.partition("-")[0]) or ([who] if ":" in who else ["ciudadania"])
        return api.request(method, f"/v1{path}", headers=issuer.headers(*own, sub=who), **content)

    return do


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    for key in list(service.store.keys(now() + timedelta(days=400))):
        service.store.delete(key)


def _draft(call: Call, who: str = "vecina-1") -> str:
    answer = call("POST", "/organizations", who, json=BODY)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _hand_in(call: Call, key: str, code: str = "statute", who: str = "vecina-1", data: bytes = PDF, **form: str) -> Any:
    files = {"file": (form.pop("name", "estatutos de Ana Niño.pdf"), data)}
    return call("POST", f"/organizations/{key}/documents", who, files=files, data={"document_type": code} | form)


def _codes(answer: Any) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


def _stored() -> list[Document]:
    with tx() as session:
        return list(session.scalars(sa.select(Document).order_by(Document.handed_in_at)))


def _files() -> set[UUID]:
    return set(service.store.keys(now() + timedelta(hours=1)))


def test_handed_in_once_and_seen_by_few(call: Call, capfd: pytest.CaptureFixture[str]) -> None:
    key, before = _draft(call), _files()
    answer = _hand_in(call, key)
    assert answer.status_code == 201, answer.text
    document = answer.json()
    assert (document["status"], document["valid"], document["media_type"]) == ("handed_in", False, "application/pdf")
    assert (document["handed_in_by"], document["type_name"]) == (None, "Estatutos")
    again = _hand_in(call, key)
    assert (again.status_code, again.json()["id"]) == (200, document["id"])
    assert len(_files() - before) == 1

    path = f"/organizations/{key}/documents/{document['id']}"
    insiders = ["vecina-1", "registradora-1", "autoridad-1", "auditora-1", f"representante:{key}"]
    for who in insiders:
        got = call("GET", path, who)
        assert (got.status_code, got.content) == (200, PDF), who
        assert got.headers["Content-Disposition"].startswith("attachment")
        assert len(call("GET", f"/organizations/{key}/documents", who).json()) == 1
    outsiders = ["vecina-2", f"representante:{uuid4()}", "funcionario:atencion-ciudadania", "evaluacion"]
    for who in outsiders:
        for method, where in (("GET", path), ("GET", f"/organizations/{key}/documents")):
            assert call(method, where, who).status_code in (403, 404), who
        assert _hand_in(call, key, who=who, data=PDF + b"\n").status_code in (403, 404), who
    accesses = call("GET", f"/organizations/{key}/accesses?sort=at", "auditora-1").json()["items"]
    assert [(one["subject"], one["what"], one["seen"]) for one in accesses] == [
        (who, "document", document["id"]) for who in insiders
    ]
    for who in ("registradora-1", "vecina-1"):
        assert call("GET", f"/organizations/{key}/accesses", who).status_code == 403
    # Its name says whose it is, and is told nowhere; the content is not on the disk as it came.
    with tx() as session:
        told = [str(one) for one in session.scalars(sa.select(seam.outbox.c.envelope))]
        told += [str(one.details) for one in session.scalars(sa.select(HistoryEntry))]
        assert b"Ana" not in session.scalars(sa.select(sa.type_coerce(Document.file_name, sa.LargeBinary))).one()
    told.append("".join(capfd.readouterr()))
    assert not [one for one in told if "estatutos de" in one]
    [file] = Path(settings().common.files).glob(f"**/{_stored()[0].file_key}")
    assert PDF not in file.read_bytes()


@pytest.mark.parametrize(
    ("data", "form", "field", "code"),
    [
        (b"MZ\x90\x00" + bytes(100), {}, "file", "file_type_not_allowed"),
        (b"", {}, "file", "file_empty"),
        (PDF, {"name": "a.png"}, "file", "file_name_contradicts"),
        (b"%PDF-" + b"x" * 25_000_001, {}, "file", "file_too_large"),
        (PDF, {"code": "diploma"}, "document_type", "unknown_document_type"),
        (PDF, {"code": "annual_report"}, "issued_on", "issued_on_missing"),
        (PDF, {"issued_on": "2999-01-01"}, "issued_on", "day_in_future"),
        (PDF, {"issued_on": "2020-01-02", "expires_on": "2020-01-01"}, "expires_on", "expires_before_issue"),
        (PDF, {"expires_on": "2020-01-01"}, "expires_on", "document_expired"),
        (PDF, {"issued_on": "hoy"}, "issued_on", "date_from_datetime_parsing"),
        (PDF, {"extra": "1"}, "extra", "extra_forbidden"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    call: Call, data: bytes, form: dict[str, str], field: str, code: str
) -> None:
    key, before = _draft(call), _files()
    answer = _hand_in(call, key, data=data, **{"code": "statute"} | form)
    assert (answer.status_code, _codes(answer)) == (422, {f"body.{field}": code})
    assert (_stored(), _files()) == ([], before)


def test_an_upload_that_is_no_form(api: TestClient, call: Call) -> None:
    key = _draft(call)
    assert api.post(f"/v1/organizations/{key}/documents", content=b"x" * 100).status_code == 401
    contents: list[dict[str, Any]] = [
        {"content": b"x"},
        {"json": {}},
        {"data": {"document_type": "statute", "file": "x"}},
    ]
    for content in contents:
        assert call("POST", f"/organizations/{key}/documents", "vecina-1", **content).status_code in (400, 422)


def test_one_serves_until_a_better_one_is_verified_or_it_expires(call: Call) -> None:
    key = _draft(call)
    today = register.today()

    def valid(days: int = 0) -> set[str]:
        with tx() as session:
            return service.valid(session, [UUID(key)], today + timedelta(days=days))[UUID(key)]

    first = _hand_in(call, key, "annual_report", issued_on=str(today - timedelta(days=30))).json()
    assert first["expires_on"] == str((today - timedelta(days=30)).replace(year=(today - timedelta(days=30)).year + 1))
    assert valid() == set()
    path = f"/organizations/{key}/documents"
    assert call("POST", f"{path}/{first['id']}/verify", "vecina-1", json={}).status_code == 403
    verified = call("POST", f"{path}/{first['id']}/verify", "registradora-1", json={}).json()
    assert (verified["status"], verified["valid"], verified["judged_by"]) == ("verified", True, "registradora-1")
    assert (valid(), valid(334), valid(336)) == ({"annual_report"}, {"annual_report"}, set())

    second = _hand_in(call, key, "annual_report", data=PDF + b"2", issued_on=str(today)).json()
    third = _hand_in(call, key, "annual_report", data=PDF + b"3", issued_on=str(today)).json()
    assert [one["status"] for one in call("GET", path, "vecina-1").json()] == ["handed_in", "replaced", "verified"]
    late = call("POST", f"{path}/{second['id']}/verify", "registradora-1", json={})
    assert (late.status_code, late.json()["type"]) == (409, "urn:tejido:problem:document_judged")
    assert call("POST", f"{path}/{third['id']}/refuse", "registradora-1", json={}).status_code == 422
    refused = call("POST", f"{path}/{third['id']}/refuse", "registradora-1", json={"reason": "Sin firmas"}).json()
    assert (refused["status"], refused["reason"]) == ("refused", "Sin firmas")
    assert valid() == {"annual_report"}
    # The same again, after it was refused, is a new attempt; its date was wrong and is corrected.
    fourth = _hand_in(call, key, "annual_report", data=PDF + b"3", issued_on=str(today)).json()
    corrected = {"issued_on": str(today - timedelta(days=10))}
    done = call("POST", f"{path}/{fourth['id']}/verify", "registradora-1", json=corrected).json()
    assert (done["status"], done["issued_on"]) == ("verified", corrected["issued_on"])
    assert [one["status"] for one in call("GET", path, "vecina-1").json()] == [
        *("verified", "refused", "replaced", "replaced")
    ]
    with moved_to(datetime.now(UTC) + timedelta(days=400)):
        assert call("GET", path, "vecina-1").json()[0]["valid"] is False


def test_what_was_handed_in_to_register_serves_the_annual_filing(call: Call) -> None:
    """Upload once: nothing is asked twice, until it expires; and while it corrects, only what was asked is taken."""
    key = _draft(call)
    path, today = f"/organizations/{key}", register.today()
    for code in ("founding_minutes", "board_minutes", "statute", "annual_report", "members_list"):
        dates = {"issued_on": str(today)} if code in ("annual_report", "members_list") else {}
        document = _hand_in(call, key, code, data=PDF + code.encode(), **dates).json()
        if code != "statute":
            assert (
                call("POST", f"{path}/documents/{document['id']}/verify", "registradora-2", json={}).status_code == 200
            )
    filed = call("POST", f"{path}/applications", "vecina-1", json={"kind": "registration", "consent": True}).json()
    application = f"/applications/{filed['id']}"
    call("POST", f"{application}/take", "registradora-2")
    items = {"items": [{"item": "document:statute", "reason": "Falta una hoja"}]}
    assert call("POST", f"{application}/ask-correction", "registradora-2", json=items).status_code == 200
    unasked = _hand_in(call, key, "board_minutes", data=PDF + b"other")
    assert (unasked.status_code, unasked.json()["type"]) == (403, "urn:tejido:problem:only_flagged")
    assert len(_stored()) == 5
    same = _hand_in(call, key, "statute", data=PDF + b"statute")
    assert (same.status_code, call("GET", application, "vecina-1").json()["status"]) == (200, "needs_correction")
    better = _hand_in(call, key, "statute", data=PDF + b"whole")
    assert better.status_code == 201
    assert call("GET", application, "vecina-1").json()["status"] == "in_review"  # it was the last item
    call("POST", f"{path}/documents/{better.json()['id']}/verify", "registradora-2", json={})
    assert call("POST", f"{application}/accept", "registradora-2", json={}).status_code == 200

    filing = call("POST", f"{path}/applications", "vecina-1", json={"kind": "annual_filing", "consent": True}).json()
    assert {one["code"]: one["status"] for one in filing["documents"]} == {
        "annual_report": "verified",
        "members_list": "verified",
    }
    call("POST", f"/applications/{filing['id']}/take", "registradora-2")
    with moved_to(datetime.now(UTC) + timedelta(days=380)):
        expired = call("POST", f"/applications/{filing['id']}/accept", "registradora-2", json={})
        assert (expired.status_code, expired.json()["type"]) == (409, "urn:tejido:problem:requires_documents")
    assert call("POST", f"/applications/{filing['id']}/accept", "registradora-2", json={}).status_code == 200


def test_files_without_a_row_are_swept(call: Call) -> None:
    _hand_in(call, _draft(call))
    [document] = _stored()
    orphan = service.store.take_in(io.BytesIO(PDF + b"x"), "x.pdf", largest=1000)
    with moved_to(datetime.now(UTC) + timedelta(days=2)):
        tasks.sweep()
    assert service.store.exists(document.file_key)
    assert not service.store.exists(orphan.key)


def test_a_virus_found_later(call: Call) -> None:
    key = _draft(call)
    _hand_in(call, key)
    [document] = _stored()
    with tx() as session:
        assert service.scanned(session, document.id, document.file_key, now(), infected=True)
    with tx() as session:
        assert not service.scanned(session, document.id, document.file_key, now(), infected=False)
    [shown] = call("GET", f"/organizations/{key}/documents", "vecina-1").json()
    assert (shown["status"], "dañino" in shown["reason"]) == ("refused", True)


# A new key


def test_after_a_rotation_the_old_key_can_go(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = _draft(call)
    document = _hand_in(call, key).json()
    filed = call(
        "POST", f"/organizations/{key}/applications", "vecina-1", json={"kind": "registration", "consent": True}
    )
    assert filed.status_code == 201  # its event waits, with sealed texts
    mark = fingerprints("cc 52123456")[0]
    with tx() as session:
        session.add(Person(name="Ana Niño", document_kind="cc", document="52123456", document_mark=mark))
    old, new = settings().common.data_key.get_secret_value(), Fernet.generate_key().decode()
    kept = service.store, imports.store

    def started_with(*keys: str) -> None:
        monkeypatch.setenv("TEJIDO_DATA_KEY", ",".join(keys))
        for cached in (personal._keys, personal._first_key, personal.hash_keys):
            cached.cache_clear()
        for store in kept:
            store.__dict__["_settings"] = CommonSettings()
            store.__dict__.pop("_keys", None)

    try:
        started_with(new, old)
        assert not any(_opens(new, value) for value in _sealed_values())
        done = rotation.reencrypt_all(batch=2)
        assert done["contact"] >= 1
        assert done["person"] == done["document"] == done["files"] == 1
        assert done["outbox"] == 1
        parser = argparse.ArgumentParser()
        rotation.add(parser.add_subparsers())
        again = parser.parse_args(["reencrypt"])
        capsys.readouterr()
        assert (again.run(again), capsys.readouterr().out) == (0, "")  # what is done stays done
        started_with(new)
        assert call("GET", f"/organizations/{key}", "vecina-1").json()["contacts"][0]["name"] == "Ana Niño"
        got = call("GET", f"/organizations/{key}/documents/{document['id']}", "vecina-1")
        assert (got.status_code, got.content) == (200, PDF)
        with tx() as session:
            person = session.scalars(sa.select(Person)).one()
            assert (person.name, person.document) == ("Ana Niño", "52123456")
            assert person.document_mark == fingerprints("cc 52123456")[0] != mark
        values = list(_sealed_values())
        assert len(values) > 5
        assert all(_opens(new, value) for value in values)
        started_with(old)
        assert again.run(again) == 1  # and says so where no key opens it
        assert UNREADABLE in capsys.readouterr().out
    finally:
        started_with(old)


def _opens(key: str, value: bytes) -> bool:
    try:
        Fernet(key).decrypt(value)
    except InvalidToken:
        return False
    return True


def _sealed_values() -> Iterator[bytes]:
    """Whatever in the database looks like a token, wherever it is."""
    with database.engine.connect() as connection:
        tables = connection.execute(
            sa.text("select quote_ident(tablename) from pg_tables where schemaname = 'public'")
        ).scalars()
        for table in list(tables):
            for (row,) in connection.execute(sa.text(f"select to_jsonb(t) from {table} t")):
                for value in json.dumps(row).split('"'):
                    text = bytes.fromhex(value[3:]).decode("ascii", "ignore") if value.startswith("\\\\x") else value
                    if text.startswith("gAAAAA"):
                        yield text.encode()
