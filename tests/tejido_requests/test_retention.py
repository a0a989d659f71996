"""What retention erases, what it must not, and what is left."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_requests.app import create_app
from tejido_requests.attachments import service as attachments
from tejido_requests.attachments.tasks import sweep
from tejido_requests.audit import chain, commands, retention, service
from tejido_requests.audit.tasks import seal
from tejido_requests.db import database, tx
from tejido_requests.events import HANDLERS
from tejido_requests.models import Attachment, Draft, HistoryEntry, Note, Rating, ServiceRequest, Tombstone
from tejido_requests.settings import settings
from tejido_shared.clock import moved_to, now
from tejido_shared.contracts import MessageFailed, RequestAnswered, RequestErased, envelope_of
from tejido_shared.db import Database
from tejido_shared.files import Store
from tejido_shared.inbox import receive
from tejido_shared.manage import main
from tejido_shared.personal import Personal
from tejido_shared.seam import outbox
from tejido_shared.testing import Issuer

SECRET = "Ana Niño"
LONG_AGO = datetime(2018, 3, 5, 15, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store("requests", lambda: settings().common.model_copy(update={"files": str(tmp_path)}))
    monkeypatch.setattr(attachments, "store", made)
    monkeypatch.setattr(retention, "store", made)
    return made


@pytest.fixture
def api(databases: dict[str, Database], store: Store) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


def _closed(api: TestClient, at: datetime = LONG_AGO, **columns: Any) -> UUID:
    """A request that was notified at `at`, with something personal in every place that can hold it."""
    with moved_to(at):
        body = {
            "subject": f"{SECRET} pide",
            "reasons": SECRET,
            "petitioner": {"name": SECRET, "identification": "CC 5212345", "email": "ana@example.org", "phone": "300"},
            "place": {"address": "Calle de Ana Niño", "latitude": 4.6, "longitude": -74.1},
            "addressees": [SECRET],
        }
        answer = api.post("/v1/service-requests", json=body)
        assert answer.status_code == 201, answer.text
        id_ = UUID(answer.json()["id"])
        kept = attachments.store.take_in(BytesIO(f"{SECRET} {id_}".encode()), f"{SECRET}.txt", largest=1000)
        with tx() as session:
            request = session.get_one(ServiceRequest, id_)
            for column in ServiceRequest.__table__.columns:
                if isinstance(column.type, Personal) and column.key != "tracking_code":
                    setattr(request, column.key, getattr(request, column.key) or SECRET)
            request.answers_given = json.dumps({"who": SECRET})
            request.attachments, request.filed_by = [SECRET], "ana-1"
            request.status, request.closed_at, request.notified_at = "notified", at, at
            for name, value in columns.items():
                setattr(request, name, value)
            service.record(session, request, "notified", at, "f-1", {"on_time": True}, reason=SECRET, evidence=SECRET)
            service.record_access(session, [id_], "f-1", "identity", SECRET)
            session.add_all(
                [
                    Attachment(
                        request_id=id_,
                        purpose="petition",
                        key=kept.key,
                        name=kept.name,
                        media_type=kept.media_type,
                        size=kept.size,
                        sha256=kept.sha256,
                        uploaded_at=at,
                    ),
                    Draft(request_id=id_, kind="answer", text=SECRET, author="f-1", written_at=at, remark=SECRET),
                    Note(request_id=id_, at=at, author="f-1", text=SECRET),
                    Rating(request_id=id_, stars=5, comment=SECRET, at=at),
                ]
            )
    return id_


def _tombstoned() -> set[UUID]:
    with tx() as session:
        return set(session.scalars(sa.select(Tombstone.request_id)))


def _due() -> retention.Due:
    with tx() as session:
        return retention.due(session)


def test_everything_personal_goes_and_the_chain_still_holds(api: TestClient, store: Store, issuer: Issuer) -> None:
    id_ = _closed(api)
    seal()
    administrator = issuer.headers("administracion", sub="admin-1")
    due = api.get("/v1/retention/due", headers=administrator).json()
    assert (due["due"], due["by_type"][0]["after_months"], len(due["first"])) == (1, 60, 1)
    assert api.get("/v1/retention/due", headers=issuer.headers("auditoria")).status_code == 403
    with tx() as session:
        key = session.scalars(sa.select(Attachment.key)).one()
        code = session.get_one(ServiceRequest, id_).tracking_code
    assert store.exists(key)

    key_header = {"Idempotency-Key": str(uuid4())}
    for _ in range(2):  # the second is the first one's answer
        done = api.post("/v1/retention/batches", json={"reason": "Acta 3"}, headers=administrator | key_header)
        assert (done.status_code, done.json()["erased"], done.json()["due"]) == (200, 1, 0), done.text

    assert not store.exists(key)
    with tx() as session:
        request = session.get_one(ServiceRequest, id_)
        left = {
            column.key: getattr(request, column.key)
            for column in ServiceRequest.__table__.columns
            if isinstance(column.type, Personal)
        }
        assert {name for name, value in left.items() if value} == {"tracking_code"}
        assert (request.latitude, request.attachments, request.addressees, request.filed_by, request.search_tokens) == (
            *(None, [], [], None, []),
        )
        entries = session.scalars(sa.select(HistoryEntry).order_by(HistoryEntry.id)).all()
        assert [entry.kind for entry in entries] == ["received", "notified", "tombstoned"]
        assert not any(entry.reason or entry.evidence for entry in entries)
        assert entries[1].digest
        assert session.scalars(sa.select(Rating.comment)).one() is None
        for model in (Attachment, Draft, Note):
            assert session.scalar(sa.select(sa.func.count()).select_from(model)) == 0
        told = session.scalars(
            sa.select(outbox.c.envelope).where(outbox.c.envelope["type"].astext == RequestErased.type)
        )
        (envelope,) = told.all()
        assert (envelope["data"].keys(), envelope["data"]["request_id"]) == ({"request_id", "erased_at"}, str(id_))
        assert envelope["subject_version"] == request.version
        stone = session.get_one(Tombstone, id_)
        assert (stone.number, stone.by, stone.closed_at) == (request.number, "admin-1", LONG_AGO)
        assert stone.reason.endswith(". Acta 3")
        assert stone.reason.startswith("Ley 594")
    tracked = api.get(f"/v1/tracking/{stone.number}", headers={"Tracking-Code": code}).json()
    assert (tracked["answer"], tracked["status"]) == (None, "notified")
    assert tracked["history"][-1]["what"] == "Venció el plazo de conservación: se borraron los datos personales"
    seal()
    with tx() as session:
        report = chain.verify(session)
    assert (report.entries, report.erased, report.counts) == (3, 2, {})


def test_an_erased_request_is_still_shown_and_takes_in_no_more(api: TestClient, issuer: Issuer) -> None:
    id_ = _closed(api)
    with tx() as session:
        request = session.get_one(ServiceRequest, id_)
        number, code, office = request.number, request.tracking_code, request.office
        details = {
            "number": "S-1",
            "draft_id": str(session.scalars(sa.select(Draft.id)).one()),
            "event_id": str(uuid4()),
        }
        service.record(session, request, "partial_answer", LONG_AGO, "f-1", details)
        retention.erase(session, uuid4(), "admin-1")
    tracked = api.get(f"/v1/tracking/{number}", headers={"Tracking-Code": code})
    assert (tracked.status_code, tracked.json()["partial_answers"][0]["text"]) == (200, "")
    shown = api.get(f"/v1/service-requests/{id_}", headers=issuer.headers(f"funcionario:{office}"))
    assert (shown.status_code, shown.json()["partial_answers"][0]["text"]) == (200, "")
    failed = MessageFailed(
        message_id=uuid4(), cause_id=uuid4(), cause_type=RequestAnswered.type, about=id_, failed_at=now(), reason=SECRET
    )
    envelope = envelope_of(
        failed, event_id=uuid4(), subject_version=1, occurred_at=now(), correlation_id="", traceparent=None
    )
    assert receive(database, HANDLERS, [{"envelope": envelope.model_dump(mode="json"), "sent": 1}]) == [envelope.id]
    with tx() as session:
        assert session.scalars(sa.select(HistoryEntry.kind).order_by(HistoryEntry.id)).all()[-1] == "tombstoned"


def test_what_is_needed_still_is_left_alone(api: TestClient, issuer: Issuer) -> None:
    with moved_to(LONG_AGO):
        open_id = UUID(api.post("/v1/service-requests", json={"subject": "Sigue abierta"}).json()["id"])
    _closed(api, now() - timedelta(days=59 * 30))  # not yet
    _closed(api, now() - timedelta(days=61 * 31), request_type="corruption_report")  # that type is kept for longer
    held = _closed(api)
    head = issuer.headers("jefatura:atencion-ciudadania", sub="jefa-1")
    order = {"hold": True, "reason": "Proceso 2026-14"}
    assert api.post(f"/v1/service-requests/{held}/hold", json=order, headers=head).status_code == 200
    disputed, merged = _closed(api), _closed(api, merged_into_id=open_id)
    with tx() as session:
        session.get_one(ServiceRequest, open_id).reopens_id = disputed
    gone = _closed(api, request_type="a_type_of_old")

    found = _due()
    assert ([(code, count) for code, _, count in found.by_type], found.held, found.related) == (
        [("a_type_of_old", 1)],
        1,
        2,
    )
    _, erased = retention.run(database, "archivo", told=lambda _: None)
    assert (erased, _tombstoned()) == (1, {gone})

    assert api.post(f"/v1/service-requests/{held}/hold", json=order | {"hold": False}, headers=head).status_code == 200
    with tx() as session:
        session.get_one(ServiceRequest, open_id).closed_at = now()
    retention.run(database, "archivo", told=lambda _: None)
    assert _tombstoned() == {gone, held, disputed, merged}
    assert api.post(f"/v1/service-requests/{held}/hold", json=order, headers=head).status_code == 409


def test_killed_midway_and_run_again(
    api: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = {_closed(api, LONG_AGO + timedelta(days=n)) for n in range(5)}
    seal()
    monkeypatch.setattr(retention, "BATCH", 2)

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(retention, "delete_files", killed)
        with pytest.raises(KeyboardInterrupt):
            retention.run(database, "archivo", told=lambda _: None)
    assert len(_tombstoned()) == 2

    def command(*argv: str) -> int:
        made = {"settings": settings, "database": database, "handlers": HANDLERS, "create_app": create_app}
        return main("requests", **made, argv=["retention", *argv], extra=commands.add)  # type: ignore[arg-type]

    assert command() == 0
    assert "3 por borrar; 0 retenidas" in capsys.readouterr().out
    assert command("--apply") == 2
    assert command("--apply", "--by", "archivo", "--limit", "1") == 0
    assert len(_tombstoned()) == 3
    assert command("--apply", "--by", "archivo") == 0
    assert _tombstoned() == ids
    assert command("--apply", "--by", "archivo") == 0
    # The files of the killed batch have no row any more: the sweep takes them.
    assert len(list(store.keys(datetime.now(UTC) + timedelta(days=1)))) == 2
    with moved_to(now() + timedelta(days=2)):
        assert sweep() == 2
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count(sa.distinct(Tombstone.batch)))) == 3
    seal()
    with tx() as session:
        assert chain.verify(session).counts == {}
