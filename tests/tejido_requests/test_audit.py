"""The audit chain under tampering, and who may know who asks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_requests.app import create_app
from tejido_requests.audit import chain, commands, service
from tejido_requests.audit.tasks import seal
from tejido_requests.audit.views import history_out
from tejido_requests.db import database, tx
from tejido_requests.events import HANDLERS
from tejido_requests.models import AccessRecord, HistoryEntry, ServiceRequest
from tejido_requests.settings import jurisdiction, settings
from tejido_shared import contracts
from tejido_shared.clock import now
from tejido_shared.inbox import receive
from tejido_shared.manage import main
from tejido_shared.personal import seal as seal_text
from tejido_shared.seam import outbox
from tejido_shared.testing import Issuer

OFFICE = "atencion-ciudadania"


@pytest.fixture
def request_id(api: TestClient) -> UUID:
    return _filed(api)


def _filed(api: TestClient, **more: Any) -> UUID:
    body = {"subject": "Hay un bache", "petitioner": {"name": "Ana Niño", "identification": "CC 5212345"}}
    answer = api.post("/v1/service-requests", json=body | more)
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


def _record(request_id: UUID, count: int = 1) -> None:
    with tx() as session:
        request = session.get_one(ServiceRequest, request_id)
        entries = [
            service.entry(request, "moved", now(), "funcionaria-1", {"from": "a", "to": str(n)}, reason="Porque sí")
            for n in range(count)
        ]
        service.record_all(session, entries)


def _verify(**options: Any) -> chain.Report:
    with tx() as session:
        return chain.verify(session, **options)


def _tamper(statement: str, **params: Any) -> None:
    """As the owner of the server would: without triggers."""
    with tx() as session:
        session.execute(sa.text("set local session_replication_role = replica"))
        session.execute(sa.text(statement), params)


def _entry(sequence: int) -> UUID:
    with tx() as session:
        return UUID(
            str(session.scalar(sa.text("select entry_id from audit_link where sequence = :n"), {"n": sequence}))
        )


@pytest.fixture
def sealed(request_id: UUID) -> bytes:
    """Twelve entries and an access record with their links. The head."""
    _record(request_id, 11)
    with tx() as session:
        service.record_access(session, [request_id], "funcionaria-1", "identity", "Debo llamarla")
    assert seal() == 13
    report = _verify()
    assert (report.entries, report.accesses, report.sequence, report.counts) == (12, 1, 13, {})
    return report.hash


def test_history_is_only_ever_added(request_id: UUID) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), tx() as session:
        session.execute(sa.text("update history_entry set details = '{}'"))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), tx() as session:
        session.execute(sa.text("delete from history_entry"))
    assert seal() == 1
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), tx() as session:
        session.execute(sa.text("delete from audit_link"))
    tables = ("history_entry", "audit_link", "access_record", "stopped_clock", "tombstone", "service_request")
    for table in tables:  # the last by what hangs on it
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), tx() as session:
            session.execute(sa.text(f"truncate {table} cascade"))


def _altered_detail() -> None:
    _tamper("""update history_entry set details = '{"from": "a", "to": "z"}' where id = :id""", id=_entry(6))


def _altered_reason() -> None:
    _tamper("update history_entry set reason = 'otra' where id = :id", id=_entry(6))


def _erased_reason() -> None:
    _tamper("update history_entry set reason = null where id = :id", id=_entry(6))


def _altered_access() -> None:
    _tamper("update access_record set subject = 'otra'")


def _deleted_entry() -> None:
    _tamper("delete from history_entry where id = :id", id=_entry(6))


def _deleted_entry_and_link() -> None:
    id_ = _entry(6)
    _tamper("delete from history_entry where id = :id", id=id_)
    _tamper("delete from audit_link where sequence = 6")


def _deleted_and_renumbered() -> None:
    _deleted_entry_and_link()
    for n in range(7, 14):
        _tamper("update audit_link set sequence = :n - 1 where sequence = :n", n=n)
    _tamper("update audit_head set sequence = 12")


def _swapped_entries() -> None:
    first, second = _entry(6), _entry(9)
    _tamper("update audit_link set entry_id = :id where sequence = 6", id=uuid4())
    _tamper("update audit_link set entry_id = :id where sequence = 9", id=first)
    _tamper("update audit_link set entry_id = :id where sequence = 6", id=second)


def _swapped_links() -> None:
    _tamper("update audit_link set sequence = 99 where sequence = 6")
    _tamper("update audit_link set sequence = 6 where sequence = 7")
    _tamper("update audit_link set sequence = 7 where sequence = 99")


_FORGED = """insert into history_entry (id, request_id, at, recorded_at, kind, details)
    select :id, request_id, at, now() - interval '1 hour', 'answered', '{"number": "1"}' from history_entry limit 1"""


def _forged_entry() -> None:
    _tamper(_FORGED, id=uuid4())


def _forged_link() -> None:
    id_ = uuid4()
    _tamper(_FORGED, id=id_)
    with tx() as session:
        columns = [service.HISTORY.c[name] for name in chain._COVERED[service.HISTORY]]
        row = session.execute(sa.select(*columns).where(service.HISTORY.c.id == id_)).one()
        last = chain.head(session)
    assert last is not None
    forged = chain.link_hash(last.hash, row._asdict())  # whoever knows how makes a link that follows
    _tamper("insert into audit_link values (14, :id, :hash)", id=id_, hash=forged)


def _cut_tail() -> None:
    ids = [_entry(n) for n in (11, 12, 13)]
    _tamper("delete from history_entry where id = any(:ids)", ids=ids)
    _tamper("delete from audit_link where sequence > 10")


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (_altered_detail, {("altered", 6)}),
        (_altered_reason, {("digest", 6)}),
        (_erased_reason, {("erased", 6)}),
        (_altered_access, {("altered", 1)}),
        (_deleted_entry, {("missing", 6)}),
        (_deleted_entry_and_link, {("removed", 6)}),
        (_deleted_and_renumbered, {("altered", 6)}),
        (_swapped_entries, {("reordered", 6), ("reordered", 9)}),
        (_swapped_links, {("reordered", 6), ("reordered", 7), ("reordered", 8)}),
        (_forged_entry, {("unsealed", None)}),
        (_forged_link, {("appended", 14)}),
        (_cut_tail, {("truncated", 11)}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_tampering_is_found_and_named(
    sealed: bytes, tamper: Callable[[], None], found: set[tuple[str, int | None]]
) -> None:
    tamper()
    report = _verify()
    assert {(finding.kind, finding.sequence) for finding in report.findings} == found
    assert sum(report.counts.values()) == len(report.findings)
    assert seal() == 0  # nothing of it is taken up into the chain


def test_a_noted_head_finds_a_cut_that_covers_its_tracks(sealed: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*argv: str) -> int:
        return main(
            "requests",
            settings=settings,
            database=database,
            handlers=HANDLERS,
            create_app=create_app,
            argv=argv,
            extra=commands.add,
        )

    assert command("audit", "head") == 0
    assert capsys.readouterr().out == f"13\t{sealed.hex()}\n"
    assert command("audit", "verify", "--head", sealed.hex()) == 0
    assert "12 asientos, 1 consultas" in capsys.readouterr().out
    assert command("audit", "verify", "--from", "8") == 0
    _cut_tail()
    _tamper("update audit_head set sequence = 10, hash = (select hash from audit_link where sequence = 10)")
    assert command("audit", "verify") == 0
    assert command("audit", "verify", "--head", sealed.hex()) == 1
    assert "la cabeza dada no está en la cadena" in capsys.readouterr().out
    # Whoever goes on where the last check ended is told too: there was a link 13.
    assert command("audit", "verify", "--from", "14") == 1
    assert "13\tfaltan eslabones" in capsys.readouterr().out
    assert command("audit", "verify", "--from", "11") == 0


def test_what_a_slow_transaction_commits_late_is_sealed_later(
    api: TestClient, request_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "OVERLAP", timedelta(0))
    with psycopg.connect(database.libpq_url) as slow:
        slow.execute("select 1")
        _record(request_id, 3)
        assert seal() == 4
        slow.execute(
            "insert into history_entry (id, request_id, at, kind, details) values (%s, %s, now(), 'moved', '{}')",
            (uuid4(), request_id),
        )
        _record(request_id, 1)
        assert seal() == 1
        slow.commit()
    assert seal() == 1
    assert seal() == 0
    report = _verify(minutes=1)
    assert (report.entries, report.waiting, report.counts) == (6, 0, {})


def test_one_chain_however_many_seal_it(request_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "BATCH", 250)
    _record(request_id, 1999)
    with ThreadPoolExecutor(4) as pool:
        found = sum(pool.map(lambda _: seal(), range(8)))
    assert found + seal() == 2000
    report = _verify()
    assert (report.entries, report.sequence, report.counts) == (2000, 2000, {})


def test_who_saw_a_confidential_identity(api: TestClient, issuer: Issuer) -> None:
    request_id = _filed(api, confidential=True)
    path = f"/v1/service-requests/{request_id}"
    officer = issuer.headers(f"funcionario:{OFFICE}", sub="funcionaria-1")
    head = issuer.headers(f"jefatura:{OFFICE}", sub="jefa-1")
    auditor = issuer.headers("auditoria", sub="auditor-1")
    both = issuer.headers("auditoria", "funcionario:oficina-juridica", sub="curiosa-1")
    why = {"reason": "Debo notificarla en su casa"}

    assert api.get(path, headers=officer).json()["petitioner"] is None
    assert api.post(f"{path}/identity", json=why, headers=auditor).status_code == 403
    assert api.post(f"{path}/identity", json=why, headers=both).status_code == 403
    assert api.post(f"{path}/identity", json={}, headers=officer).status_code == 422
    assert api.get(f"{path}/accesses", headers=auditor).json()["items"] == []
    seen = api.post(f"{path}/identity", json=why, headers=officer)
    assert (seen.status_code, seen.json()["petitioner"]["name"]) == (200, "Ana Niño")
    history = api.get(f"{path}/audit", headers=head)
    assert [item["what"] for item in history.json()["items"]] == ["Solicitud recibida"]
    assert api.get(f"{path}/accesses", headers=officer).status_code == 403
    told = api.get(f"{path}/accesses", headers=auditor).json()["items"]
    assert [(item["subject"], item["what"], item["reason"]) for item in told] == [
        ("funcionaria-1", "identity", "Debo notificarla en su casa"),
        ("jefa-1", "history", None),
    ]
    with tx() as session:
        assert "casa" not in str(session.scalars(sa.select(sa.cast(AccessRecord.reason, sa.Text))).all())


def test_who_changed_confidentiality_is_seen_and_names_are_found_accordingly(api: TestClient, issuer: Issuer) -> None:
    request_id = _filed(api)
    path = f"/v1/service-requests/{request_id}"
    officer = issuer.headers(f"funcionario:{OFFICE}", sub="funcionaria-1")
    head = issuer.headers(f"jefatura:{OFFICE}", sub="jefa-1")

    def tokens() -> set[str]:
        with tx() as session:
            return set(session.get_one(ServiceRequest, request_id).search_tokens or [])

    open_tokens = tokens()
    hide = {"confidential": True, "reason": "La amenazan"}
    assert api.post(f"{path}/confidentiality", json=hide, headers=officer).status_code == 200
    assert {token[0] for token in open_tokens - tokens()} == {"n", "i"}
    show = {"confidential": False, "reason": "Lo pidió ella"}
    assert api.post(f"{path}/confidentiality", json=show, headers=officer).status_code == 403
    assert api.post(f"{path}/confidentiality", json=show, headers=head).status_code == 200
    assert tokens() == open_tokens
    seal()
    entries = api.get(f"{path}/audit", headers=head).json()["items"]
    assert [(entry["kind"], entry["author"], entry["reason"], entry["details"]) for entry in entries[1:]] == [
        ("confidentiality_changed", "funcionaria-1", "La amenazan", {"confidential": True}),
        ("confidentiality_changed", "jefa-1", "Lo pidió ella", {"confidential": False}),
    ]
    end = api.get("/v1/audit/head", headers=head).json()
    assert (end["sequence"], end["hash"]) == (entries[-1]["sequence"], entries[-1]["hash"]) == (3, entries[-1]["hash"])
    public = api.get(path, headers=head).json()["history"]
    assert public[-1]["what"] == "Cambió la reserva de la identidad"
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(HistoryEntry)) == 3


def test_whoever_holds_letters_is_told_who_may_see_them_and_tells_who_did(api: TestClient, issuer: Issuer) -> None:
    """What notifications knows: by its events of who saw a proof, the look is recorded here."""
    request_id = _filed(api, confidential=True)
    path = f"/v1/service-requests/{request_id}"
    head = issuer.headers(f"jefatura:{OFFICE}", sub="jefa-1")
    why = {"reason": "Lo pidió ella"}
    assert api.post(f"{path}/confidentiality", json=why | {"confidential": False}, headers=head).status_code == 200
    to_another_type = {"reasons": "Es una denuncia", "request_type": "corruption_report"}
    assert api.post(f"{path}/retype", json=to_another_type, headers=head).status_code == 200
    etag = api.get(path, headers=head).headers["ETag"]
    moved = api.patch(path, json={"office": "oficina-juridica"}, headers=head | {"If-Match": etag})
    assert moved.status_code == 200, moved.text
    with tx() as session:
        row = session.get_one(ServiceRequest, request_id)
        told = session.scalars(sa.select(outbox.c.envelope).order_by(outbox.c.id)).all()
        last = row.version
    submitted = [one["data"] for one in told if one["type"] == contracts.RequestSubmitted.type]
    assert [one["confidential"] for one in submitted] == [True]
    changed = [one for one in told if one["type"] == contracts.RequestAccessChanged.type]
    assert [(one["data"]["office"], one["data"]["confidential"]) for one in changed] == [
        (OFFICE, False),
        (OFFICE, True),
        ("oficina-juridica", True),
    ]
    versions = [one["subject_version"] for one in changed]
    assert versions == sorted(set(versions))
    assert (versions[0] > 1, versions[-1]) == (True, last)

    seen = contracts.ProofSeen(
        message_id=uuid4(),
        cause_type=contracts.RequestSubmitted.type,
        about=request_id,
        seen_at=now(),
        by="jefa-2",
        reason=contracts.Sealed(seal_text("Recurso de la Personería")),
    )
    envelope = contracts.envelope_of(
        seen, event_id=uuid4(), subject_version=1, occurred_at=now(), correlation_id="", traceparent=None
    )
    for _ in range(2):
        assert receive(database, HANDLERS, [{"envelope": envelope.model_dump(mode="json"), "sent": 1}]) == [envelope.id]
    accesses = api.get("/v1/accesses", headers=issuer.headers("auditoria")).json()["items"]
    assert [(item["subject"], item["what"], item["reason"]) for item in accesses] == [
        ("jefa-2", "identity", "Recurso de la Personería")
    ]


def test_who_took_personal_data_out_is_seen_by_auditors(api: TestClient, issuer: Issuer) -> None:
    request_id = _filed(api, confidential=True)
    head = issuer.headers(f"jefatura:{OFFICE}", sub="jefa-1")
    auditor = issuer.headers("auditoria", sub="auditor-1")
    path = f"/v1/service-requests/{request_id}"
    assert api.post(f"{path}/identity", json={"reason": "Debo llamarla"}, headers=head).status_code == 200
    taken = {"reason": "Acta 7", "status": ["received"]}
    for ending in ("csv", "xlsx"):
        assert api.post(f"/v1/service-requests/export.{ending}", json=taken, headers=head).status_code == 200

    def found(**asked: Any) -> list[tuple[str, str | None]]:
        answer = api.get("/v1/accesses", params=asked, headers=auditor)
        assert answer.status_code == 200, answer.text
        return [(item["what"], item["request_id"]) for item in answer.json()["items"]]

    assert found() == [("export", None), ("export", None), ("identity", str(request_id))]
    day = now().astimezone(jurisdiction().zone).date()
    assert len(found(what="export", subject="jefa-1", at_from=str(day), at_until=str(day))) == 2
    for nothing in ({"subject": "otra"}, {"what": "receipt"}, {"at_until": str(day - timedelta(days=1))}):
        assert found(**nothing) == []
    page = api.get("/v1/accesses", params={"what": "export", "limit": 1}, headers=auditor).json()
    assert page["items"][0]["reason"].startswith("Acta 7 {")
    rest = api.get("/v1/accesses", params={"what": "export", "cursor": page["next"]}, headers=auditor).json()
    assert len(rest["items"]) == 1
    assert api.get("/v1/accesses", params={"what": "todo"}, headers=auditor).status_code == 422
    assert api.get("/v1/accesses", headers=head).status_code == 403  # it is of all offices


def test_an_organization_does_not_tell_who_asks_confidentially(api: TestClient, issuer: Issuer) -> None:
    officer = issuer.headers(f"funcionario:{OFFICE}", sub="funcionaria-1")
    organization = str(uuid4())
    person = {"name": "Junta Sur", "representative_name": "Ana Niño", "representative_identification": "CC 5212345"}
    by = {"organization_id": organization}
    hidden, shown = (_filed(api, confidential=kept, petitioner=person, **by) for kept in (True, False))
    read = [api.get(f"/v1/service-requests/{each}", headers=officer).json() for each in (hidden, shown)]
    assert [one["organization_id"] for one in read] == [None, organization]
    lists = [
        api.get("/v1/service-requests", params=by, headers=officer),
        api.post("/v1/service-requests/search", json=by, headers=officer),
    ]
    for listed in lists:
        assert [item["id"] for item in listed.json()["items"]] == [str(shown)]
    assert api.get("/v1/service-requests/counts", params=by, headers=officer).json()["total"] == 1
    exported = api.get("/v1/service-requests/export.csv", params=by, headers=officer).text
    assert (read[1]["number"] in exported, read[0]["number"] in exported) == (True, False)
    seen = api.post(f"/v1/service-requests/{hidden}/identity", json={"reason": "Debo llamar"}, headers=officer)
    assert seen.json()["organization_id"] == organization
    assert person.items() <= seen.json()["petitioner"].items()


def test_history_says_dates_as_people_do() -> None:
    def said(**details: Any) -> str:
        entry = {"at": now(), "kind": "calendar_changed", "details": details | {"act": "Decreto 9"}}
        return history_out([entry])[0].what

    moved = said(old="2026-12-14", new="2026-12-15")
    assert "pasó del 14 de diciembre de 2026 al 15 de diciembre de 2026 (Decreto 9)" in moved
    resting = "Cambió el calendario mientras el término estaba en pausa (Decreto 9)"
    assert said(old="2026-04-06", new="2026-04-06", days_left=[3, 4]) == resting
    assert said(old=None, new=None, days_left=[3, 4]) == resting  # where the citizen has no term
