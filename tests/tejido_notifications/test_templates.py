"""Texts that administrators write: tried before they are saved, shown, compared, taken back."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from tejido_notifications.app import create_app
from tejido_notifications.delivery import service as delivery
from tejido_notifications.letters import samples, sandbox, service, sources, views, writing
from tejido_notifications.letters.service import Text
from tejido_notifications.models import Delivery
from tejido_shared.contracts import Envelope, event_in
from tejido_shared.db import Database
from tejido_shared.testing import Issuer

from .conftest import CODE, NUMBER, filed

BASE = "/v1/templates/requests_submitted/mail/es"
GOOD = "Radicado {{ number }}\n{% if recipient_name %}{{ recipient_name }}: {% endif %}vence {{ due_date | day }}.\n"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    sources.forget()
    yield
    sources.forget()


@pytest.fixture
def client(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


@pytest.fixture
def administrator(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("administracion")


def _save(client: TestClient, headers: dict[str, str], source: str | None, base: str = BASE, **more: Any) -> Any:
    body = {"source": source, "remark": "más claro"}
    return client.post(f"{base}/versions", json=body, headers={"If-Match": "*", **headers, **more})


def _sent(databases: dict[str, Database], envelope: Envelope, form: Any = "mail") -> writing.Letter:
    name = envelope.type.replace(".", "_")
    with databases["notifications"].tx() as session:
        return writing.write(
            sources.saved(session), envelope.type, name, "es", delivery.opened(event_in(envelope)), form=form
        )


EVERY = [
    pytest.param(Text(name, form, language), id=f"{name}.{form}.{language}")
    for name in views.names()
    for form in sources.FORMS
    for language in ("es", "en")
    if sources.unsaved(name, form, language)
]


@pytest.mark.parametrize("text", EVERY)
def test_every_text_of_ours_holds_for_every_sample(text: Text) -> None:
    source = sources.unsaved(text.name, text.form, text.language)
    assert source is not None
    service.check(text, source.text)
    for name, context in samples.samples(text.cause_type):
        for form in sources.FORMS:
            chosen, language, form_of_source = writing.choose({}, text.name, form, text.language)
            assert chosen is not None
            letter = writing.compose(chosen, text.cause_type, language, context, form, form_of_source)
            whole = f"{letter.subject}\n{letter.body}"
            for leftover in ("{", "}", "None", "Undefined", "\n\n\n"):
                assert leftover not in whole, (name, leftover)
            for heading in re.findall(r"^[A-ZÁÉÍÓÚÑ ]+$", letter.body, re.MULTILINE):
                assert not letter.html or f"<h2>{heading}</h2>" in letter.html, heading
            if form == "short":
                assert len(f"{letter.subject}: {letter.body}") <= writing.LONGEST_SHORT


def test_every_message_has_both_languages() -> None:
    for name in views.names():
        assert {language for language in ("es", "en") if sources.unsaved(name, "mail", language)} == {"es", "en"}
        assert {bool(sources.unsaved(name, "short", language)) for language in ("es", "en")} != {True, False}


def test_a_text_is_read_changed_and_taken_back(
    client: TestClient, databases: dict[str, Database], issuer: Issuer, administrator: dict[str, str]
) -> None:
    for group in ("supervision", "jefatura:oficina-juridica", "administracion"):
        listed = client.get("/v1/templates", headers=issuer.headers(group)).json()["items"]
        assert len(listed) == len(views.names()) * 4
    one = next(
        item
        for item in listed
        if (item["name"], item["form"], item["language"]) == ("requests_submitted", "mail", "es")
    )
    assert (one["origin"], one["number"], one["cause_type"]) == ("ours", 0, "requests.submitted")
    short = next(item for item in listed if (item["name"], item["form"]) == ("requests_submitted", "short"))
    assert short["origin"] == "mail"

    read = client.get(BASE, headers=administrator)
    whole = read.json()
    assert read.headers["ETag"] == '"0"'
    variables = {variable["name"]: variable for variable in whole["variables"]}
    assert variables["type_name"]["meaning"] == "The law's name of the type"
    assert variables["due_date"]["type"] == "date"
    assert (variables["recipient_name"]["optional"], variables["recipient_name"]["personal"]) == (True, True)
    assert {"days[].why_not", "entity.phone", "office.name", "tracking_url"} <= variables.keys()
    assert {"day", "say", "trim"} <= {one["name"] for one in whole["filters"]}
    assert all(one["meaning"] != f"filter.{one['name']}" for one in whole["filters"])

    for group in ("supervision", "jefatura:oficina-juridica"):
        assert _save(client, issuer.headers(group), GOOD).status_code == 403
    for group in ("ciudadania", "auditoria", "funcionario:oficina-juridica"):
        assert client.get(BASE, headers=issuer.headers(group)).status_code == 403
    assert client.get(BASE).status_code == 401
    assert client.get("/v1/templates/nothing/mail/es", headers=administrator).status_code == 404
    assert client.get("/v1/templates/requests_submitted/mail/xx", headers=administrator).status_code == 422
    assert client.post(f"{BASE}/versions", json={"source": GOOD}, headers=administrator).status_code == 428

    first = _save(client, administrator, GOOD, **{"If-Match": '"0"', "Idempotency-Key": "k-1"})
    assert first.status_code == 201, first.text
    assert (first.json()["version"], first.json()["source"]) == ("saved:1", GOOD)
    assert first.headers["ETag"] == '"1"'
    again = _save(client, administrator, GOOD, **{"If-Match": '"0"', "Idempotency-Key": "k-1"})
    assert again.json() == first.json()
    assert _save(client, administrator, GOOD, **{"If-Match": '"0"'}).status_code == 412
    letter = _sent(databases, filed())
    assert (letter.subject, letter.version) == (f"Radicado {NUMBER}", "saved:1")
    assert _sent(databases, filed(), "short").body.startswith(f"Radicado {NUMBER} http")

    changed = GOOD.replace("vence", "responderemos a más tardar el")
    assert _save(client, administrator, changed).json()["number"] == 2
    assert _save(client, administrator, None).json()["origin"] == "ours"
    assert _sent(databases, filed()).version.startswith("ours:")
    history = client.get(f"{BASE}/versions", headers=issuer.headers("supervision")).json()["items"]
    assert [(item["number"], item["author"], item["remark"]) for item in history] == [
        (number, "persona-1", "más claro") for number in (3, 2, 1)
    ]
    diff = client.get(f"{BASE}/versions/2", headers=administrator).json()["diff"].splitlines()
    assert [line for line in diff if line[0] in "+-"][2:] == ["-" + GOOD.splitlines()[1], "+" + changed.splitlines()[1]]
    assert client.get(f"{BASE}/versions/9", headers=administrator).status_code == 404
    page = client.get(f"{BASE}/versions", params={"limit": 2}, headers=administrator).json()
    rest = client.get(f"{BASE}/versions", params={"limit": 2, "cursor": page["next"]}, headers=administrator).json()
    assert [item["number"] for item in page["items"] + rest["items"]] == [3, 2, 1]


REFUSED = [
    (
        "mail",
        "Asunto\n\n{{ numero }} y {{ entity.fax }}\n{{ nada }}",
        "text_variable",
        "entity.fax (3), numero (3), nada (4)",
    ),
    ("mail", "Asunto\n{% for d in days %}{{ d.dia }}{% endfor %}", "text_variable", "d.dia (2)"),
    ("mail", "Asunto\nx\n{% if number %}", "text_syntax", "3"),
    ("mail", "Asunto\n{{ number | reverse }}", "text_syntax", "Línea 2"),
    ("mail", "Asunto\n{{ range(9) }}", "text_syntax", "Call"),
    ("mail", "Solo asunto", "text_incomplete", "full"),
    ("mail", "{{ number }}\n{% if verbal %}x{% endif %}", "text_incomplete", "verbal=false"),
    ("mail", "Asunto\nUno\n{{ recipient_name }}: hola", "text_fails", "Línea 3"),
    ("mail", "Asunto\nUno\n\n{{ office.name }}", "text_fails", "Línea 4"),
    ("mail", "Asunto\n{{ due_date + 1 }}", "text_fails", "Línea 2"),
    ("mail", "Asunto\n{{ ''.__class__ }}", "text_fails", "unsafe"),
    (
        "mail",
        "Asunto\n" + "".join(f"{{% for {name} in term %}}" for name in "abcd") + "x" + "{% endfor %}" * 4,
        "text_fails",
        "turns",
    ),
    (
        "mail",
        "Asunto\n{{ number }}\n{{ 'clock.zz' | say }}",
        "text_key",
        "Línea 3: «say» no tiene palabras para esta clave: clock.zz",
    ),
    ("mail", "Asunto\n{% if number == 'x' %}{{ 'clock.zz' | say }}{% endif %}x", "text_key", "Línea 2"),
    ("mail", "Asunto\n{{ ('clock.' ~ language) | say }}", "text_key", "clock.es [full]"),
    ("mail", "Asunto\n{% set key = 'clock.zz' %}\n{{ key | say }}", "text_key", "Línea 3"),
    ("mail", "Asunto\n" + "é" * 10_000, "text_too_long", "20000"),
    ("mail", "Asunto\n" + "(" * 3 + "{{ " + "(" * 5000 + "1" + ")" * 5000 + "}}", "text_syntax", "RecursionError"),
    ("short", "{{ recipient_name }}", "text_personal", "recipient_name (1)"),
    ("short", "Código {{ tracking_code }}", "text_personal", "tracking_code (1)"),
    ("short", "{{ number }}" + " más" * 80, "text_short_too_long", "300"),
    ("short", "{% if verbal %}x{% endif %}", "text_incomplete", "verbal=false"),
]


def test_a_text_that_cannot_be_sent_is_not_saved(client: TestClient, administrator: dict[str, str]) -> None:
    for form, source, code, said in REFUSED:
        base = BASE.replace("mail", form)
        answer = _save(client, administrator, source, base)
        assert answer.status_code == 422, source
        [error] = answer.json()["errors"]
        assert (error["field"], error["code"]) == ("body.source", code), source
        assert said in error["reason"], source
        assert error["reason"] != f"field.{code}"
        english = _save(client, administrator, source, base, **{"Accept-Language": "en"})
        assert english.json()["errors"][0]["reason"] != error["reason"]
        assert client.get(base, headers=administrator).json()["number"] == 0


def test_keys_of_the_catalogue_may_be_made_of_variables(client: TestClient, administrator: dict[str, str]) -> None:
    base = BASE.replace("requests_submitted", "requests_reminder")
    source = "Vence {{ 'clock.answer' | say }}\n{% set key = 'clock.' ~ clock %}\n{{ key | say }}"
    assert _save(client, administrator, source, base).status_code == 201
    [error] = _save(client, administrator, source.replace("~ clock", "~ to | first"), base).json()["errors"]
    assert (error["code"], "Línea 3" in error["reason"]) == ("text_key", True)


def test_what_is_no_version_is_refused(client: TestClient, administrator: dict[str, str]) -> None:
    bodies = [{}, {"source": ""}, {"source": 7}, {"source": "x" * 20_001}, {"source": None, "x": 1}, []]
    for body in [*bodies, {"source": None, "remark": "x" * 501}, {"source": "Asunto\nnul\0"}]:
        answer = client.post(f"{BASE}/versions", json=body, headers={**administrator, "If-Match": "*"})
        assert answer.status_code == 422, body


def test_a_short_text_of_one_s_own(
    client: TestClient, databases: dict[str, Database], administrator: dict[str, str]
) -> None:
    base = BASE.replace("mail", "short")
    saved = _save(client, administrator, "Radicado {{ number }}.\nVence {{ due_date | day }}.", base)
    assert saved.status_code == 201, saved.text
    short = _sent(databases, filed(), "short")
    assert (short.subject, short.body) == ("IDPAC", f"Radicado {NUMBER}. Vence martes, 29 de diciembre de 2026.")
    assert _sent(databases, filed()).version.startswith("ours:")
    shown = client.post(f"{BASE}/preview", json={}, headers=administrator).json()
    assert shown["short"].startswith("IDPAC: Radicado ABC-2026-000123-45. Vence")


def test_a_preview_shows_all_that_would_be_sent(
    client: TestClient, databases: dict[str, Database], issuer: Issuer, administrator: dict[str, str]
) -> None:
    for group in ("supervision", "administracion"):
        answer = client.post(f"{BASE}/preview", json={}, headers=issuer.headers(group))
        shown = answer.json()
        assert answer.headers["Cache-Control"] == "no-store"
        assert shown["subject"].startswith("Recibimos su solicitud ABC-2026-000123-45")
        assert "Ana María Muñoz: recibimos" in shown["text"]
        assert "Ana María Muñoz: recibimos" in shown["html"]
        assert shown["short"] == f"IDPAC: {shown['subject']} http://127.0.0.1:8100/seguimiento/ABC-2026-000123-45"
        assert shown["version"].startswith("ours:")
    bare = client.post(f"{BASE}/preview", json={"sample": "bare"}, headers=administrator).json()
    assert "Ana" not in bare["text"]
    draft = client.post(f"{BASE}/preview", json={"source": GOOD}, headers=administrator).json()
    assert draft["subject"] == "Radicado ABC-2026-000123-45"
    assert draft["short"].startswith("IDPAC: Radicado ABC-2026-000123-45 http")
    assert draft["version"] == ""
    broken = client.post(f"{BASE}/preview", json={"source": "Asunto\n{{ x }}"}, headers=administrator)
    assert (broken.status_code, broken.json()["errors"][0]["code"]) == (422, "text_fails")


def test_a_real_message_is_shown_to_administrators_alone_and_never_written_down(
    client: TestClient,
    databases: dict[str, Database],
    issuer: Issuer,
    administrator: dict[str, str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    envelope = filed()
    with databases["notifications"].tx() as session:
        row = Delivery(
            cause_id=envelope.id,
            cause_type=envelope.type,
            about=envelope.subject,
            audience="citizen",
            template="requests_submitted",
            language="es",
            recipient="ana.munoz@correo.example",
            context=delivery.opened(event_in(envelope)),
            correlation_id="c-1",
            status="delivered",
        )
        session.add(row)
    body = {"delivery_id": str(row.id)}
    for group in ("supervision", "jefatura:oficina-juridica"):
        refused = client.post(f"{BASE}/preview", json=body, headers=issuer.headers(group))
        assert (refused.status_code, "Ana" in refused.text) == (403, False)
    answer = client.post(f"{BASE}/preview", json=body, headers=administrator)
    shown = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert CODE in shown["text"]
    assert CODE not in shown["short"]
    failing = client.post(
        f"{BASE}/preview", json=body | {"source": "Asunto\n{{ recipient_name + 1 }}"}, headers=administrator
    )
    assert (failing.status_code, "Ana" in failing.text) == (422, False)
    for other, code in ((BASE.replace("submitted", "answered"), "other_event"), (BASE, "unknown_message")):
        asked = body if code == "other_event" else {"delivery_id": str(uuid4())}
        refused = client.post(f"{other}/preview", json=asked, headers=administrator)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, code)
    written = "".join(capfd.readouterr())
    assert "Ana" not in written
    assert CODE not in written


def test_two_administrators_at_once_lose_nothing(
    client: TestClient, databases: dict[str, Database], administrator: dict[str, str]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: _save(client, administrator, GOOD, **{"If-Match": '"0"'}), range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 412, 412, 412]


def test_samples_are_fictional_events_that_their_models_take() -> None:
    for cause_type in service.CAUSES.values():
        for _, context in samples.samples(cause_type):
            assert json.loads(context)
    names = [name for name, _ in samples.samples("requests.answered")]
    assert names == [
        *("full", "full, kind=partial", "full, kind=refusal"),
        *("bare", "bare, kind=partial", "bare, kind=refusal"),
    ]
    assert sandbox.LARGEST_SOURCE == 20_000
