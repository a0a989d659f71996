"""The citizen's page, as a browser without scripts uses it: forms are read from what was shown and sent as they are."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from tests.tejido_requests.test_attachments import served

from tejido_requests.attachments import service
from tejido_requests.db import tx
from tejido_requests.models import Attachment, HistoryEntry, Rating, ServiceRequest
from tejido_requests.tracking import page
from tejido_shared import clock, i18n
from tejido_shared.clock import now
from tejido_shared.testing import Issuer

ZONE = ZoneInfo("America/Bogota")
MONDAY = datetime(2026, 3, 16, 10, tzinfo=ZONE)
PDF = b"%PDF-1.7\n1 0 obj << >> endobj\n"


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    for key in list(service.store.keys(now() + timedelta(days=400))):
        service.store.delete(key)


@dataclass
class Form:
    action: str
    method: str
    multipart: bool
    values: dict[str, str] = field(default_factory=dict)


class Shown(HTMLParser):
    """A page: its words, its forms, what points where."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        assert answer.headers["content-type"] == "text/html; charset=utf-8", answer.text
        self.status, self.headers, self.html = answer.status_code, answer.headers, answer.text
        self.forms: list[Form] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self._typing: str | None = None
        self.feed(answer.text)
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append(Form(given["action"], given["method"], "multipart" in given.get("enctype", "")))
        if tag == "input" and (given["type"] in ("hidden", "text") or "checked" in given):
            self.forms[-1].values[given["name"]] = given.get("value", "")
        self._typing = given["name"] if tag == "textarea" else None
        if self._typing:
            self.forms[-1].values[self._typing] = ""

    def handle_endtag(self, tag: str) -> None:
        self._typing = None

    def handle_data(self, data: str) -> None:
        if self._typing:
            self.forms[-1].values[self._typing] += data.removeprefix("\n")
        elif self.tags and self.tags[-1][0] != "style":
            self.words += data

    def form(self, act: str) -> Form:
        return next(form for form in self.forms if act in form.action)

    def wrong(self) -> dict[str, str]:
        """What is said next to fields."""
        return {
            tag[1]["id"]: re.search(rf'id="{tag[1]["id"]}">([^<]*)', self.html)[1]  # type: ignore[index]
            for tag in self.tags
            if tag[1].get("class") == "wrong"
        }


class Browser:
    def __init__(self, api: TestClient, language: str = "es") -> None:
        self.api, self.headers = api, {"Accept-Language": language}

    def get(self, path: str) -> Shown:
        return Shown(self.api.get(path, headers=self.headers))

    def raw(self, form: Form, files: list[tuple[str, bytes]] | None = None, **typed: str) -> Any:
        values = form.values | typed
        if not form.multipart:
            return self.api.post(form.action, data=values, headers=self.headers)
        parts = [("files", (name, content)) for name, content in files or [("", b"")]]  # as browsers send no file
        return self.api.post(form.action, data=values, files=parts, headers=self.headers)

    def send(self, form: Form, files: list[tuple[str, bytes]] | None = None, **typed: str) -> Shown:
        return Shown(self.raw(form, files, **typed))

    def look(self, receipt: dict[str, Any]) -> Shown:
        form = self.get(f"/seguimiento/{receipt['number']}").forms[0]
        return self.send(form, code=receipt["tracking_code"].lower())


def _file(api: TestClient, **more: Any) -> dict[str, Any]:
    person = {"name": "Ana Niño", "identification": "CC 52123456", "email": "ana@example.org"}
    answer = api.post("/v1/service-requests", json={"subject": "Bache de Ana", "petitioner": person} | more)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _desk(api: TestClient, officer: dict[str, str], receipt: dict[str, Any], act: str, body: dict[str, Any]) -> None:
    answer = api.post(f"/v1/service-requests/{receipt['id']}/{act}", json=body, headers=officer)
    assert answer.status_code == 200, answer.text


def _answer(api: TestClient, officer: dict[str, str], receipt: dict[str, Any], text: str = "Se tapó.") -> None:
    _desk(api, officer, receipt, "answer", {"text": text})
    _desk(api, officer, receipt, "notification", {"notified_at": clock.now().isoformat(), "evidence": "Firma"})


def _kinds() -> list[str]:
    with tx() as session:
        return list(session.scalars(sa.select(HistoryEntry.kind).order_by(HistoryEntry.id)))


def _kept() -> int:
    return len(list(service.store.keys(now() + timedelta(days=400))))


def test_number_and_code_show_where_it_stands(api: TestClient) -> None:
    with clock.moved_to(MONDAY):
        receipt = _file(api)
        browser = Browser(api)
        empty = browser.get("/seguimiento")
        assert (empty.status, empty.forms[0].values, empty.forms[0].action) == (
            200,
            {"number": "", "code": ""},
            "/seguimiento",
        )
        shown = browser.look(receipt)
    assert shown.status == 200
    for words in (
        *(f"Solicitud {receipt['number']}", "está en trámite", "a más tardar el jueves, 9 de abril de 2026"),
        *(
            "Quedan 15 días hábiles",
            "15 días hábiles (Ley 1755 de 2015",
            "16 de marzo de 2026, 10:00",
            "Solicitud recibida",
        ),
        *("lun 23 mar 2026", "fin de semana", "Jueves Santo", "Descargar", "Desistir"),
    ):
        assert words in shown.words, words
    for secret in ("Ana", "52123456", "Bache"):
        assert secret not in shown.html


def test_a_wrong_code_and_an_unknown_number_look_alike_and_lose_nothing(api: TestClient) -> None:
    receipt = _file(api)
    browser = Browser(api)
    form = browser.get("/seguimiento").forms[0]
    pages = [
        browser.send(form, number=number, code=code)
        for number, code in (
            (receipt["number"], "WRONG"),
            ("BOG-2026-999999-00", receipt["tracking_code"]),
            ("x\x00' or 1=1", "x"),
            ("", ""),
        )
    ]
    for shown in pages:
        assert shown.status == 404
        assert "No encontramos una solicitud con ese número y ese código" in shown.words
    assert pages[0].forms[0].values == {"number": receipt["number"], "code": "WRONG"}
    hostile = browser.get("/seguimiento/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert "<script" not in hostile.html
    for path in (f"/seguimiento/{receipt['number']}/completar", "/seguimiento/"):
        assert browser.get(path).forms[0].action == "/seguimiento"
    for path in ("constancia", "desistir", "nada", "documentos/x"):
        answer = api.post(f"/seguimiento/{receipt['number']}/{path}", data={"code": "WRONG"})
        assert Shown(answer).status == 404, path
    assert _kinds() == ["received"]


def test_the_code_is_in_no_address_and_nothing_comes_from_elsewhere(api: TestClient, officer: dict[str, str]) -> None:
    receipt = _file(api)
    code = receipt["tracking_code"]
    _answer(api, officer, receipt)
    shown = Browser(api).look(receipt)
    assert not any(code in given.get(name, "") for _, given in shown.tags for name in ("href", "action", "src"))
    assert all(form.method == "post" and form.action.startswith("/seguimiento") for form in shown.forms)
    assert {tag for tag, _ in shown.tags}.isdisjoint({"script", "img", "link", "iframe", "object", "base"})
    assert not re.findall(r"https?://|url\(|@import| on\w+=| style=", shown.html)
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in shown.headers
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    # Every control has a label, every reference an end, and the language is said.
    ids = [given["id"] for _, given in shown.tags if "id" in given]
    assert len(ids) == len(set(ids))
    labels = {given["for"] for tag, given in shown.tags if tag == "label" and "for" in given}
    asked = {
        given["id"]
        for tag, given in shown.tags
        if tag == "textarea" or (tag == "input" and given["type"] in ("text", "file"))
    }
    assert asked <= labels | {""}
    named = [given.get(name, "") for _, given in shown.tags for name in ("aria-labelledby", "aria-describedby", "for")]
    assert {one for names in named for one in names.split()} <= set(ids)
    assert ("html", {"lang": "es"}) in shown.tags


def test_english_for_who_asks_for_it(api: TestClient) -> None:
    receipt = _file(api)
    shown = Browser(api, "en-GB,en;q=0.9,es;q=0.5").look(receipt)
    assert ("html", {"lang": "en"}) in shown.tags
    assert "business days are left" in shown.words
    assert "Request received" in shown.words
    assert (shown.headers["content-language"], shown.headers["vary"]) == ("en", "Accept-Language")
    used = set(re.findall(r'say\("([a-z_.]+)"', (page._TEMPLATE / "page.html").read_text()))
    catalogues = [i18n._catalogue("tejido_requests", language) for language in i18n.LANGUAGES]
    assert not [code for code in used if not code.endswith(".") for one in catalogues if f"page.{code}" not in one]


def test_what_was_asked_is_given_with_its_documents_once(api: TestClient, officer: dict[str, str]) -> None:
    with clock.moved_to(MONDAY):
        receipt = _file(api)
    with clock.moved_to(MONDAY + timedelta(days=1)):
        _desk(api, officer, receipt, "completion-requests", {"what": "¿En qué calle?\n<b>Dígalo</b>"})
        browser = Browser(api)
        shown = browser.look(receipt)
        assert "<b>Dígalo" not in shown.html
        for words in ("¿En qué calle?", "Tiene hasta el viernes, 17 de abril de 2026", "está en pausa desde el martes"):
            assert words in shown.words, words

        nothing = browser.send(shown.form("completar"), text="  ", files=[("calle.pdf", PDF)])
        assert nothing.status == 422
        assert nothing.wrong() == {"completar-text-wrong": "Falta este dato."}
        assert nothing.html.count(" autofocus") == 1
        bad = browser.send(
            nothing.form("completar"),
            text="Calle 13\r\ncon 7",
            files=[("a.pdf", PDF), ("b.exe", b"MZ\x90\0"), ("c.pdf", b"")],
        )
        assert bad.status == 422
        assert bad.form("completar").values["text"] == "Calle 13\ncon 7"
        assert bad.wrong()["completar-files-wrong"].startswith("b.exe: Por su contenido")
        assert "c.pdf: El archivo está vacío" in bad.wrong()["completar-files-wrong"]
        assert "Elíjalos de nuevo" in bad.words
        assert (_kept(), _kinds()) == (0, ["received", "asked_to_complete"])

        files = [("calle.pdf", PDF), ("esquina.pdf", PDF + b"%" * 2_000_000)]
        form = bad.form("completar")
        given, again = (browser.send(form, files=files) for _ in range(2))  # loaded again: sent again
    for shown in (given, again):
        assert shown.status == 200
        assert "Recibimos lo que envió" in shown.words
        assert "está en trámite" in shown.words
        assert "calle.pdf" in shown.words
    assert _kinds() == ["received", "asked_to_complete", "attached", "attached", "completed"]
    assert _kept() == 2
    with tx() as session:
        assert session.query(HistoryEntry).filter_by(kind="completed").one().reason == "Calle 13\ncon 7"
    downloaded = browser.raw(next(form for form in given.forms if "/documentos/" in form.action))
    assert (downloaded.content, downloaded.headers["content-type"]) == (PDF, "application/pdf")
    paper = browser.raw(given.form("/constancia"))
    assert paper.content.startswith(b"%PDF")
    late = browser.send(form, key="6f9619ff-8b86-4d01-b42d-00cf4fc964ff", text="Otra vez")
    assert (late.status, "ya se completó" in late.words, "Otra vez" in late.words) == (409, True, True)


def test_an_answer_is_read_rated_and_disputed(api: TestClient, officer: dict[str, str]) -> None:
    receipt = _file(api)
    browser = Browser(api)
    early = browser.look(receipt)
    assert not [form for form in early.forms if form.action.endswith(("/calificar", "/desacuerdo", "/completar"))]
    _answer(api, officer, receipt, "No hay <i>bache</i>.\nGracias.")
    shown = browser.look(receipt)
    for words in ("Respondida.", "dentro del plazo", "No hay <i>bache</i>.", "BOG-S-"):
        assert words in shown.words, words
    assert "<i>" not in shown.html

    unrated = browser.send(shown.form("/calificar"), comment="Rápido")
    assert (unrated.status, unrated.wrong()) == (422, {"calificar-stars-wrong": "Falta este dato."})
    assert unrated.form("/calificar").values["comment"] == "Rápido"
    rated = browser.send(unrated.form("/calificar"), stars="4")
    assert "Gracias: su calificación" in rated.words
    with tx() as session:
        assert [(one.stars, one.comment) for one in session.query(Rating)] == [(4, "Rápido")]
    twice = browser.send(shown.form("/calificar"), stars="1")
    assert (twice.status, "una sola vez" in twice.words) == (409, True)

    disputed = browser.send(rated.form("/desacuerdo"), reasons="Sí lo hay")
    assert "está en trámite" in disputed.words
    with tx() as session:
        (new,) = session.scalars(sa.select(ServiceRequest).where(ServiceRequest.reopens_id.is_not(None)))
        assert f"Solicitud {new.number}" in disputed.words
    assert f"la respuesta de {receipt['number']} se radicó como la solicitud {new.number}" in disputed.words
    old = browser.look(receipt)
    assert f"se tramita como la solicitud {new.number}" in old.words
    followed = browser.send(next(form for form in old.forms if form.values.get("number") == new.number))
    assert (followed.status, f"Solicitud {new.number}" in followed.words) == (200, True)


def test_withdrawing_is_meant(api: TestClient) -> None:
    receipt = _file(api)
    browser = Browser(api)
    form = browser.look(receipt).form("/desistir")
    unsure = browser.send(form, reasons="Ya la taparon")
    assert (unsure.status, unsure.wrong()) == (
        422,
        {"desistir-sure-wrong": "Marque la casilla si de verdad desiste."},
    )
    assert unsure.form("/desistir").values["reasons"] == "Ya la taparon"
    done = browser.send(unsure.form("/desistir"), sure="1")
    assert "Desistida: ya no se responderá." in done.words
    assert not [each for each in done.forms if each.action.endswith("/desistir")]
    again = browser.send(form, sure="1")
    assert (again.status, "no admite este acto" in again.words) == (409, True)
    assert again.form("/desistir").values["reasons"] == ""


def test_every_way_a_request_can_end_is_said(api: TestClient, officer: dict[str, str], issuer: Issuer) -> None:
    head = issuer.headers("jefatura:atencion-ciudadania", sub="jefa-1")
    why = {"reasons": "Porque sí"}
    issued, passed_on, split, kept, merged = (_file(api) for _ in range(5))
    _desk(api, officer, issued, "answer", {"text": "Mañana se tapa."})
    _desk(api, head, passed_on, "transfers", why | {"authority": "Secretaría de Movilidad", "evidence": "Guía 1"})
    _desk(api, head, split, "split", why | {"children": [{"subject": "Una"}, {"subject": "Otra"}]})
    _desk(api, head, kept, "merge", why | {"others": [merged["id"]]})
    _answer(api, officer, kept, "Es la respuesta de las dos.")
    browser = Browser(api)
    for receipt, *words in (
        (issued, "Ya hay respuesta", "Mañana se tapa.", "La ley nos obliga"),
        (passed_on, "Trasladada a Secretaría de Movilidad"),
        (split, "Se dividió en varias"),
        (kept, "Respondida.", "dentro del plazo"),
        (merged, f"Se unió a la solicitud {kept['number']}", "Es la respuesta de las dos."),
    ):
        shown = browser.look(receipt)
        assert [each for each in words if each not in shown.words] == [], shown.words
        assert "page." not in shown.words
    parts = [form for form in browser.look(split).forms if "number" in form.values]
    assert [browser.send(form).status for form in parts] == [200, 200]


def test_a_document_that_is_not_given_out_says_why(api: TestClient) -> None:
    receipt = _file(api)
    browser = Browser(api)
    sent = api.post(
        f"/v1/tracking/{receipt['number']}/attachments",
        data={"purpose": "petition"},
        files={"file": ("carta.pdf", PDF)},
        headers={"Tracking-Code": receipt["tracking_code"]},
    )
    assert sent.status_code == 201
    form = next(form for form in browser.look(receipt).forms if "/documentos/" in form.action)
    (key,) = service.store.keys(now() + timedelta(days=400))
    service.store.delete(key)
    lost = browser.send(form)
    assert (lost.status, "su archivo falta o está dañado" in lost.words) == (503, True)
    with tx() as session:
        session.execute(sa.update(Attachment).values(infected=True))
    gone = browser.send(form)
    assert (gone.status, "encontró en él un programa dañino" in gone.words) == (410, True)
    assert "Se borró: tenía un programa dañino." in gone.words


def test_strangers_are_counted_and_told_in_words(api: TestClient) -> None:
    receipt = _file(api)
    browser = Browser(api)
    form = browser.get("/seguimiento").forms[0]
    limit = api.app.state.rate_limit  # type: ignore[attr-defined]
    try:
        api.app.state.rate_limit = type(limit)("2/minute")  # type: ignore[attr-defined]
        shown = [browser.send(form, number=receipt["number"], code="WRONG") for _ in range(3)]
    finally:
        api.app.state.rate_limit = limit  # type: ignore[attr-defined]
    assert [each.status for each in shown] == [404, 404, 429]
    assert "vuelva a cargar esta página" in shown[2].words
    assert int(shown[2].headers["retry-after"]) > 0


def test_no_file_is_read_before_the_code_is_known(api: TestClient, officer: dict[str, str]) -> None:
    receipt = _file(api)
    _desk(api, officer, receipt, "completion-requests", {"what": "La calle"})
    drawn = 0

    def endless(code: str | None) -> Iterator[bytes]:
        nonlocal drawn
        if code is not None:
            yield b'--limit\r\nContent-Disposition: form-data; name="code"\r\n\r\n' + code.encode() + b"\r\n"
        yield b'--limit\r\nContent-Disposition: form-data; name="files"; filename="x.pdf"\r\n\r\n' + PDF
        while drawn < 100_000_000:
            drawn += 1 << 16
            yield b"x" * (1 << 16)

    path = f"/seguimiento/{receipt['number']}/completar"
    for code, status, kind in (
        ("WRONG", 404, "multipart/form-data"),
        ("WRONG", 404, "Multipart/Form-Data"),
        (None, 400, "multipart/form-data"),
    ):
        drawn, headers = 0, {"Content-Type": f"{kind}; boundary=limit"}
        with served() as (host, port), httpx2.Client(base_url=f"http://{host}:{port}", timeout=60) as http:
            # Whether the client reads the answer or meets a closed door, the service stopped reading.
            with suppress(httpx2.HTTPError):
                refused = http.post(path, headers=headers, content=endless(code))
                assert (refused.status_code, refused.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert drawn < 20_000_000
    assert _kept() == 0
