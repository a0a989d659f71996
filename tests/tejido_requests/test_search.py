"""Finding requests over HTTP."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from python_calamine import CalamineWorkbook

from tejido_requests import settings as service
from tejido_requests.calendars import queries as calendars
from tejido_requests.db import database, tx
from tejido_requests.models import AccessRecord, SavedView, ServiceRequest
from tejido_requests.search.queries import today
from tejido_requests.search.service import reindex
from tejido_requests.search.tokens import tokens_of
from tejido_shared import clock
from tejido_shared.personal import seal
from tejido_shared.testing import Issuer

OFFICE, OTHER = "atencion-ciudadania", "oficina-juridica"
LIST, COUNTS = "/v1/service-requests", "/v1/service-requests/counts"
SEARCH = f"{LIST}/search"
CSV, XLSX = "/v1/service-requests/export.csv", "/v1/service-requests/export.xlsx"
TABLE: Any = sa.inspect(ServiceRequest).local_table


@pytest.fixture
def officer(issuer: Issuer) -> dict[str, str]:
    return issuer.headers(f"funcionario:{OFFICE}", sub="ana")


@pytest.fixture
def head(issuer: Issuer) -> dict[str, str]:
    return issuer.headers(f"jefatura:{OFFICE}", sub="jefa")


@pytest.fixture
def elsewhere(issuer: Issuer) -> dict[str, str]:
    return issuer.headers(f"funcionario:{OTHER}", sub="otro")


def _file(api: TestClient, subject: str = "Hay un bache", **changes: Any) -> dict[str, Any]:
    answer = api.post(LIST, json={"subject": subject} | changes)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _set(receipt: dict[str, Any], **values: Any) -> None:
    """What acts of other features leave in the row."""
    with tx() as session:
        session.execute(sa.update(TABLE).where(TABLE.c.id == UUID(receipt["id"])).values(**values))


def _found(api: TestClient, headers: dict[str, str], path: str = LIST, **params: Any) -> list[str]:
    """The numbers on all pages, three to a page."""
    numbers: list[str] = []
    cursor = None
    while True:
        asked = {"limit": 3} | params | ({"cursor": cursor} if cursor else {})
        if path == SEARCH:
            answer = api.post(path, json=asked, headers=headers)
        else:
            answer = api.get(path, params=asked, headers=headers)
        assert answer.status_code == 200, answer.text
        numbers += [item["number"] for item in answer.json()["items"]]
        if not (cursor := answer.json()["next"]):
            return numbers


def _table(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


@contextmanager
def _statements() -> Iterator[list[tuple[str, Any]]]:
    """What is sent to the database meanwhile."""
    sent: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)


def test_words_are_found_without_accents_by_their_stems_and_all_of_them(
    api: TestClient, issuer: Issuer, officer: dict[str, str]
) -> None:
    ana = {"name": "Begoña Núñez", "identification": "CC 52.123.456", "email": "b@example.org"}
    pothole = _file(api, "Árboles caídos y baches frente al colegio de la niñez", petitioner=ana)
    light = _file(api, "Iluminación: se pidió arreglar la luminaria", reasons="Peligro para los niños", petitioner=ana)
    hidden = _file(api, "Denuncia de un bache", petitioner=ana, confidential=True)
    p, l_, h = pothole["number"], light["number"], hidden["number"]
    for text, numbers in {
        "bache": [p, h],
        "BACHES del colegio": [p],
        "arbol caido": [p],
        "ninez": [p],
        "niñez": [p],
        "niño": [l_],
        "ninos": [l_],
        "iluminaciones": [l_],
        "pidio": [l_],
        "pidieron": [l_],
        "bache luminaria": [],
        "begona NUNEZ": [p, l_],
        "52123456": [p, l_],
        "cc 52.123.456": [p, l_],
        "52.123.456 bache": [p],
        p: [p],
        p.lower(): [p],
        p.rsplit("-", 1)[0]: [p],
        "2": [l_],
        "000002": [l_],
        f"{today().year}-2": [l_],
        "99": [],
    }.items():
        assert sorted(_found(api, officer, SEARCH, text=text)) == sorted(numbers), text
    # A person's name is not looked for in an address, which ends up in logs.
    assert _found(api, officer, text="begoña") == []
    assert _found(api, officer, text="52123456") == []
    auditor = issuer.headers("auditoria")
    assert _found(api, auditor, SEARCH, text="begoña") == []
    refused = api.get(LIST, params={"text": "de la"}, headers=officer).json()
    assert [(error["field"], error["code"]) for error in refused["errors"]] == [("query.text", "no_words")]


def test_plurals_of_short_words_numbers_with_points_and_codes(api: TestClient, officer: dict[str, str]) -> None:
    for subject, texts in {
        "Se hundió la vía": ["vías", "VIAS hundidas"],
        "Falta luz en el cruce": ["luces", "cruces"],
        "Ruido de dos días": ["día", "dia"],
        "Cobro de $1.500.000": ["1.500.000", "1500000"],
        "Hueco en la calle 7A": ["7a", "calle 7A"],
    }.items():
        number = _file(api, subject)["number"]
        for text in texts:
            assert _found(api, officer, text=text) == [number], text
            assert _found(api, officer, SEARCH, text=text) == [number], text
    assert _found(api, officer, text="calle 7b") == []


def test_nobody_finds_another_offices_requests_in_any_way(
    api: TestClient, officer: dict[str, str], head: dict[str, str], elsewhere: dict[str, str]
) -> None:
    receipt = _file(api, "Ruido del bar", petitioner={"name": "Rosa Peña"})
    shared = {"name": "Ruido", "office": OFFICE, "query": {"text": "ruido", "assignee": "me"}}
    view = api.post("/v1/views", json=shared, headers=officer).json()
    for headers, count in ((officer, 1), (elsewhere, 0)):
        assert len(_found(api, headers, SEARCH, text="peña")) == count
        for params in ({}, {"text": "ruido"}, {"text": receipt["number"]}, {"office": OFFICE}):
            assert len(_found(api, headers, **params)) == count, params
            counted = api.get(COUNTS, params=params, headers=headers).json()
            assert counted["total"] == count
            assert sum(counted["by_office"].values()) == count
            assert len(_table(api.get(CSV, params=params, headers=headers))) == count
    assert api.get(f"/v1/views/{view['id']}/requests", headers=elsewhere).status_code == 404
    # The same view, run by each: `me` is whoever runs it, and what they may see is theirs.
    own = api.post("/v1/views", json={"name": "Ruido", "query": {"text": "ruido"}}, headers=elsewhere).json()
    assert _found(api, elsewhere, f"/v1/views/{own['id']}/requests") == []
    _set(receipt, assignee="jefa")
    assert _found(api, head, f"/v1/views/{view['id']}/requests") == [receipt["number"]]
    assert _found(api, officer, f"/v1/views/{view['id']}/requests") == []
    with tx() as session:
        session.execute(sa.update(SavedView).where(SavedView.id == UUID(view["id"])).values(office=OTHER))
    assert _found(api, elsewhere, f"/v1/views/{view['id']}/requests") == []


def test_filters_counts_and_orders_with_dates_that_are_not_there(
    api: TestClient, officer: dict[str, str], issuer: Issuer
) -> None:
    names = ("late", "today", "soon", "far", "paused", "lapsed", "done", "child")
    places = {"far": {"latitude": 4.60, "longitude": -74.08}, "soon": {"latitude": 4.61, "longitude": -74.08}}
    made = {name: _file(api, f"Asunto {name}", place=places.get(name)) for name in names}
    number = {name: receipt["number"] for name, receipt in made.items()}
    with tx() as session:
        calendar = calendars.calendar(session, calendars.in_force(session), "")
    day, now = today(), clock.now()
    third = calendar.open_after(day, 3)

    def due(name: str, when: date, **values: Any) -> None:
        overdue_at = now + timedelta(days=(when - day).days, hours=-1 if when < day else 1)
        _set(made[name], due_date=when, overdue_at=overdue_at, **values)

    due("late", day - timedelta(days=9), assignee="ana", priority=True)
    due("today", day, due_soon_from=day)
    due("soon", third, due_soon_from=day, assignee="ana", extended_by=5)
    due("far", calendar.open_after(day, 12), assignee="luis")
    resting = {"status": "paused", "due_date": None, "overdue_at": None}
    _set(made["paused"], **resting, citizen_due_date=day)
    _set(made["lapsed"], **resting, citizen_due_date=day - timedelta(days=1))
    due("done", day - timedelta(days=2), status="notified", closed_at=now, on_time=False)
    due("child", third + timedelta(days=30), parent_id=UUID(made["late"]["id"]), channel="letter", anonymous=False)

    params: dict[str, Any]
    bad: dict[str, Any]
    open_ones = {*names} - {"done"}
    for params, expected in (
        ({"overdue": True}, {"late"}),
        ({"overdue": False}, {*names} - {"late"}),
        ({"due_today": True}, {"today"}),
        ({"due_within": 0}, {"today"}),
        ({"due_within": 2}, {"today"}),
        ({"due_within": 3}, {"today", "soon"}),
        ({"due_until": str(day)}, {"late", "today", "done"}),
        ({"due_from": str(third)}, {"soon", "far", "child"}),
        ({"open": True}, open_ones),
        ({"open": False}, {"done"}),
        ({"paused": True}, {"paused", "lapsed"}),
        ({"withdrawal_proposed": True}, {"lapsed"}),
        ({"withdrawal_proposed": False, "paused": True}, {"paused"}),
        ({"extended": True}, {"soon"}),
        ({"status": ["paused", "notified"]}, {"paused", "lapsed", "done"}),
        ({"on_time": False}, {"done"}),
        ({"assignee": "me"}, {"late", "soon"}),
        ({"assignee": "luis"}, {"far"}),
        ({"assignee": "none", "open": True}, {"today", "paused", "lapsed", "child"}),
        ({"channel": ["letter", "mail"]}, {"child"}),
        ({"priority": True}, {"late"}),
        ({"anonymous": False}, {"child"}),
        ({"parent_id": made["late"]["id"]}, {"child"}),
        ({"has_children": True}, {"late"}),
        ({"near": "4.6005,-74.08", "radius": 100}, {"far"}),
        ({"near": "4.6005,-74.08", "radius": 1100}, {"far", "soon"}),
        ({"near": "4.6005,-74.08", "radius": 40}, set()),
        ({"received_from": str(day), "received_until": str(day)}, {*names}),
        ({"received_until": str(day - timedelta(days=1))}, set()),
        ({"closed_from": str(day)}, {"done"}),
        ({"closed_until": str(day - timedelta(days=1))}, set()),
    ):
        assert set(_found(api, officer, **params)) == {number[name] for name in expected}, params

    # Every page of every order is there, those without the date last, and the other way round.
    for sort, last in (("due_date", {"paused", "lapsed"}), ("closed_at", open_ones)):
        ordered = _found(api, officer, sort=sort)
        assert set(ordered) == {*number.values()}
        assert len(ordered) == len(names)
        assert set(ordered[-len(last) :]) == {number[name] for name in last}
        assert _found(api, officer, sort=f"-{sort}") == ordered[::-1]
    assert _found(api, officer)[:4] == [number[name] for name in ("late", "done", "today", "soon")]

    with _statements() as sent:
        counted = api.get(COUNTS, headers=officer).json()
    assert len(sent) == 1
    assert {name: counted[name] for name in ("total", "overdue", "due_today", "due_soon", "paused", "unassigned")} == {
        "total": 7,
        "overdue": 1,
        "due_today": 1,
        "due_soon": 2,
        "paused": 2,
        "unassigned": 4,
    }
    assert counted["by_status"] == {"received": 5, "paused": 2}
    assert counted["by_office"] == {OFFICE: 7}
    assert counted["by_assignee"] == {"ana": 2, "luis": 1}
    assert sum(counted["by_request_type"].values()) == 7
    assert api.get(COUNTS, params={"status": "notified"}, headers=officer).json()["total"] == 1
    nothing = api.get(COUNTS, headers=issuer.headers("funcionario:vacia")).json()
    assert (nothing["total"], nothing["by_status"]) == (0, {})
    for bad in ({"near": "95,0"}, {"near": "x"}, {"status": "nope"}, {"due_within": -1}, {"nope": 1}, {"text": ""}):
        assert api.get(LIST, params=bad, headers=officer).status_code == 422, bad


def test_a_page_takes_as_many_statements_however_long_it_is(api: TestClient, officer: dict[str, str]) -> None:
    for _ in range(12):
        _file(api, petitioner={"name": "Ana", "identification": "CC 1234567"})
    sent_for = []
    filtered: dict[str, Any] = {"due_within": 20, "text": "bache", "assignee": "none"}
    for limit in (2, 12):
        for params in ({}, filtered):
            with _statements() as sent:
                page = api.get(LIST, params={"limit": limit} | params, headers=officer).json()
            assert len(page["items"]) == limit
            assert not any("petitioner_name" in statement for statement, _ in sent)
            sent_for.append(len(sent))
    assert sent_for == [1, 2, 1, 2]


def test_saved_views_are_ones_own_or_shared(
    api: TestClient, issuer: Issuer, officer: dict[str, str], head: dict[str, str], elsewhere: dict[str, str]
) -> None:
    query = {"text": "Núñez", "due_within": 3, "sort": "-received_at"}
    made = api.post("/v1/views", json={"name": "Míos", "query": query}, headers=officer)
    assert made.status_code == 201, made.text
    path = f"/v1/views/{made.json()['id']}"
    assert made.json()["query"] | query == made.json()["query"]
    with tx() as session:
        assert "ñez" not in json.dumps(session.scalars(sa.select(SavedView.query)).all(), ensure_ascii=False)
    again = api.post("/v1/views", json={"name": "Míos", "query": {}}, headers=officer).json()
    assert again["errors"][0]["code"] == "view_exists"
    for bad in ({"query": {"due_within": "x"}}, {"query": {"limit": 5}}, {"query": {}, "office": OTHER}):
        assert api.post("/v1/views", json={"name": "x"} | bad, headers=officer).status_code == 422, bad
    assert api.get(path, headers=head).status_code == 404
    etag = api.get(path, headers=officer).headers["ETag"]
    assert api.patch(path, json={"office": OFFICE}, headers=officer).status_code == 428
    shared = api.patch(path, json={"office": OFFICE}, headers=officer | {"If-Match": etag})
    assert shared.json()["query"]["text"] == "Núñez"
    colleague = issuer.headers(f"funcionario:{OFFICE}", sub="luis")
    seen = api.get(path, headers=colleague)
    assert seen.json()["owner"] == "ana"
    new_etag = {"If-Match": seen.headers["ETag"]}
    assert api.patch(path, json={"name": "x"}, headers=colleague | new_etag).status_code == 403
    assert api.delete(path, headers=colleague | new_etag).status_code == 403
    assert [view["name"] for view in api.get("/v1/views", headers=colleague).json()["items"]] == ["Míos"]
    assert api.get("/v1/views", headers=elsewhere).json()["items"] == []
    assert api.patch(path, json={"name": "y"}, headers=officer | {"If-Match": etag}).status_code == 412
    renamed = api.patch(path, json={"name": "De la oficina", "query": {}}, headers=head | new_etag)
    assert (renamed.json()["name"], renamed.json()["office"]) == ("De la oficina", OFFICE)
    with tx() as session:
        session.execute(sa.update(SavedView).values(query={"a_filter_of_old": 1}))
    assert api.get("/v1/views", headers=officer).json()["items"][0]["query"] is None
    assert api.get(f"{path}/requests", headers=officer).json()["title"] == "La vista ya no vale"
    mended = api.patch(path, json={"query": {"overdue": True}}, headers=officer | {"If-Match": renamed.headers["ETag"]})
    assert (mended.status_code, mended.json()["query"]["overdue"]) == (200, True)
    assert api.delete(path, headers=head | {"If-Match": mended.headers["ETag"]}).status_code == 204
    assert api.get(path, headers=officer).status_code == 404


def test_exports_compute_nothing_and_keep_persons_in(
    api: TestClient, officer: dict[str, str], head: dict[str, str], elsewhere: dict[str, str]
) -> None:
    rosa = {"name": "=HYPERLINK(1)", "identification": "CC 123", "phone": "+57 300", "email": "r@example.org"}
    plain = _file(api, "@cmd bache en Engativá", petitioner=rosa, place={"address": "-1+1"})
    hidden = _file(api, "Secreto", petitioner={"name": "Oculta", "identification": "9"}, confidential=True)
    _set(plain, due_date=None)
    answer = api.get(CSV, headers=officer)
    assert answer.headers["content-disposition"] == f'attachment; filename="solicitudes-{today()}.csv"'
    rows = _table(answer)
    # Without a due date last; headings and words in Spanish; local time.
    assert [row["Número"] for row in rows] == [hidden["number"], plain["number"]]
    assert rows[0]["Estado"] == "Recibida"
    assert rows[0]["Oficina"] == "Atención a la Ciudadanía"
    assert rows[0]["Identidad reservada"] == "Sí"
    assert rows[0]["Fecha límite"] == hidden["clock"]["due_date"]
    with tx() as session:
        at = session.scalars(
            sa.select(ServiceRequest.received_at).where(ServiceRequest.number == hidden["number"])
        ).one()
    local = at.astimezone(service.jurisdiction().zone).replace(microsecond=0, tzinfo=None)
    assert rows[0]["Recibida"] == str(local)
    for word in ("HYPERLINK", "CC 123", "Engativ", "Oculta", "example.org"):
        assert word not in answer.text
    english = _table(api.get(CSV, headers=officer | {"Accept-Language": "en"}))
    assert english[0]["Status"] == "Received"

    personal = {"reason": "Informe anual", "text": "bache"}
    assert api.post(CSV, json=personal, headers=officer).status_code == 403
    assert api.post(CSV, json={}, headers=head).json()["errors"][0]["field"] == "body.reason"
    (row,) = _table(api.post(CSV, json=personal, headers=head))
    assert (row["Solicitante"], row["Teléfono"], row["Lugar"]) == ("'=HYPERLINK(1)", "'+57 300", "'-1+1")
    assert row["Objeto"] == "'@cmd bache en Engativá"
    sheet = api.post(XLSX, json={"reason": "Informe anual"}, headers=head)
    assert sheet.status_code == 200
    cells = CalamineWorkbook.from_filelike(io.BytesIO(sheet.content)).get_sheet_by_index(0).to_python()
    by_number = {str(line[0]): dict(zip(cells[0], line, strict=True)) for line in cells[1:]}
    assert by_number[plain["number"]]["Solicitante"] == "'=HYPERLINK(1)"
    assert by_number[hidden["number"]]["Recibida"] == local
    assert by_number[hidden["number"]]["Fecha límite"] == date.fromisoformat(hidden["clock"]["due_date"])
    confidential = by_number[hidden["number"]]
    assert not any(confidential[name] for name in ("Objeto", "Solicitante", "Identificación", "Lugar"))
    with tx() as session:
        records = session.execute(sa.select(AccessRecord.subject, AccessRecord.what, AccessRecord.reason)).all()
    assert [(record.subject, record.what) for record in records] == [("jefa", "export")] * 2
    assert all("Informe anual" in record.reason and "bache" not in record.reason for record in records)


def test_no_spreadsheet_computes_anything_however_it_cuts_cells(api: TestClient, head: dict[str, str]) -> None:
    """Where a comma separates decimals, as in Spanish, a spreadsheet cuts at `;`, and quotes in the middle of a cell are nothing to it."""
    subject = 'Bache;=HYPERLINK("http://x")\n  +1;-2\n\t@x; y = 3'
    _file(api, subject, petitioner={"name": " =1;@SUM(1)"})
    text = api.post(CSV, json={"reason": "Informe"}, headers=head).content.decode("utf-8-sig")
    for delimiter in ",;\t":
        cells = [cell for line in text.splitlines() for cell in line.split(delimiter)]
        assert not [cell for cell in cells if cell.lstrip(' "').startswith(("=", "+", "-", "@"))], delimiter
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["Objeto"].replace("'", "") == subject


def test_an_export_is_read_from_a_cursor_and_holds_no_calendar(
    api: TestClient, officer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tejido_requests.search import exports

    for _ in range(8):
        _file(api)
    monkeypatch.setattr(exports, "_BATCH", 3)
    monkeypatch.setattr(exports, "MOST_ROWS_OF_A_SHEET", 7)
    table = exports.rows_of(sa.select(ServiceRequest), "due_date", personal=True)
    pieces = exports.as_csv(table, personal=True)
    next(pieces), next(pieces)
    with tx() as session:
        held = set(session.scalars(sa.text("select relation::regclass::text from pg_locks where relation is not null")))
        assert "service_request" in held
        assert not held & {"calendar_version", "closure"}
        assert session.scalar(sa.text("select count(*) from pg_cursors")) == 0
    assert len(list(pieces)) == 2
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    pieces = exports.as_csv(table, personal=True)
    next(pieces), next(pieces)
    del pieces  # the caller hung up
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert len(_table(api.get(CSV, params={"due_within": 200}, headers=officer))) == 8
    assert api.get(XLSX, headers=officer).json()["title"] == "Demasiadas filas para una hoja"
    assert api.get(XLSX, params={"text": "1"}, headers=officer).status_code == 200


def test_reindexing_makes_the_tokens_anew(api: TestClient, officer: dict[str, str]) -> None:
    for turn in range(5):
        _file(api, f"Bache {turn}", petitioner={"name": "Ana Niño"})
    with tx() as session:
        before = session.execute(
            sa.select(TABLE.c.id, TABLE.c.version, TABLE.c.search_tokens).order_by(TABLE.c.id)
        ).all()
        session.execute(sa.update(TABLE).values(search_tokens=None))
    assert _found(api, officer, text="baches") == []
    after, batches = None, 0
    while True:
        with tx() as session:
            after = reindex(session, after, 2)
        if after is None:
            break
        batches += 1
    assert batches == 3
    assert len(_found(api, officer, SEARCH, text="ninos")) == 0
    assert len(_found(api, officer, SEARCH, text="niño baches")) == 5
    with tx() as session:
        assert (
            session.execute(sa.select(TABLE.c.id, TABLE.c.version, TABLE.c.search_tokens).order_by(TABLE.c.id)).all()
            == before
        )


MANY = """
insert into service_request (id, version, number, request_type, type_name, office, channel, verbal, language, subject, attachments,
  tracking_code, status, closed_at, on_time, anonymous, confidential, minor, priority, addressees, assignee, latitude, longitude,
  search_tokens, received_at, terms_version, calendar_version, policy, effective_receipt_date, clock_version, due_date, overdue_at)
select gen_random_uuid(), 1, 'X-' || n, 'general_petition', '', case when n % 3 = 0 then :office else 'oficina-' || n % 9 end, 'web',
  false, 'es', :subject, '[]', '', case when n % 20 = 0 then 'received' else 'notified' end,
  case when n % 20 > 0 then day + interval '1 day' end, case when n % 20 > 0 then true end, true, false, false, false, '[]',
  case when n % 2 = 0 then 'o-' || n % 400 end, 4.4 + (n % 997) / 2000.0, -74.2 + (n % 499) / 1000.0,
  array[:common, 't' || md5((n % 5000)::text), 't' || md5((n % 331)::text || 'a'), 'n' || md5((n % 20011)::text)]
    || case when n % 10000 = 30 then array[:rare] else '{}' end,
  day - interval '20 days', '', 1, '{}', day::date, 1, day::date, day + interval '1 day'
from (select n, now() - interval '2000 days' + interval '1 day' * (n % 100 * 20.3) as day from generate_series(1, 200000) n) as made
"""


def test_selective_searches_of_200_000_requests_use_an_index(
    api: TestClient, officer: dict[str, str], issuer: Issuer
) -> None:
    with tx() as session:
        session.execute(sa.text("set local statement_timeout = 0"))
        words = {"common": tokens_of(["baches"])[0], "rare": tokens_of(["ornitorrinco"])[0]}
        session.execute(sa.text(MANY), {"office": OFFICE, "subject": seal("Hay un bache").encode()} | words)
        session.execute(sa.text("analyze service_request"))
    mine = issuer.headers(f"funcionario:{OFFICE}", sub="o-60")
    auditor = issuer.headers("auditoria")
    searches: list[tuple[dict[str, str], dict[str, Any]]] = [
        (officer, {"text": "ornitorrincos"}),
        (officer, {"text": "ornitorrinco bache"}),
        (auditor, {"text": "ornitorrinco"}),
        (officer, {"text": "X-30"}),
        (officer, {"text": "bache"}),
        (officer, {"due_within": 5}),
        (auditor, {"due_within": 5}),
        (officer, {"due_today": True}),
        (officer, {"overdue": True}),
        (auditor, {"overdue": True}),
        (officer, {"open": True, "assignee": "none"}),
        (mine, {"assignee": "me"}),
        (mine, {"assignee": "me", "open": True, "due_within": 9}),
        (officer, {"near": "4.6,-74.0", "radius": 300}),
        (officer, {"sort": "due_date"}),
        (officer, {"sort": "-due_date"}),
        (officer, {"sort": "-received_at"}),
    ]
    for headers, params in searches:
        with _statements() as sent:
            answer = api.get(LIST, params=params, headers=headers)
        assert answer.status_code == 200, answer.text
        statement, parameters = sent[-1]
        with database.engine.connect() as connection:
            plan = json.dumps(connection.exec_driver_sql(f"explain (format json) {statement}", parameters).scalar_one())
        assert '"Seq Scan"' not in plan, (params, plan)
        assert "ix_service_request" in plan, (params, plan)
    assert [len(_found(api, headers, text="ornitorrinco")) for headers in (officer, auditor)] == [7, 20]
    with _statements() as sent:
        api.get(COUNTS, headers=officer)
    with database.engine.connect() as connection:
        plan = json.dumps(connection.exec_driver_sql(f"explain (format json) {sent[0][0]}", sent[0][1]).scalar_one())
    assert '"Seq Scan"' not in plan, plan
