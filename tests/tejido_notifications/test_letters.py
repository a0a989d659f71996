"""Letters as people read them: text, HTML and short."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from tejido_notifications.delivery import service
from tejido_notifications.letters import sources
from tejido_notifications.letters import writing as letters
from tejido_notifications.letters.html import html_of
from tejido_notifications.letters.writing import Letter, Unsendable
from tejido_notifications.models import TemplateVersion
from tejido_notifications.settings import jurisdiction
from tejido_shared import contracts
from tejido_shared.contracts import event_in
from tejido_shared.db import Database
from tejido_shared.jurisdiction import Clock

from .conftest import CITIZEN_EVENTS, CODE, FRIDAY_EVENING, NUMBER, filed, told


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    sources.forget()
    yield
    sources.forget()


def _letter(databases: dict[str, Database], envelope: contracts.Envelope, language: str = "es", **more: Any) -> Letter:
    context = service.opened(event_in(envelope))
    with databases["notifications"].tx() as session:
        return letters.write(
            sources.saved(session), envelope.type, envelope.type.replace(".", "_"), language, context, **more
        )


class _Reader(HTMLParser):
    """What a browser shows of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.lang = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        self.lang = self.lang or next((value or "" for name, value in attrs if name == "lang"), "")

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"] or "{" not in data:
            self.said.append(data)


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    return reader


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _same(letter: Letter) -> None:
    """The HTML says what the text says, every word of it in its order, between the entity's name and nothing."""
    page = _read(letter.html)
    shown = _words(" ".join(page.said))
    head = _words(letter.subject + " " + jurisdiction().entity.name)
    assert shown == head + _words(letter.subject + " " + letter.body)
    assert page.lang == letter.language
    assert page.tags.count("h1") == 1
    assert not {"img", "script", "link", "iframe", "form", "object"} & set(page.tags)


def _no_leftovers(letter: Letter) -> None:
    for leftover in ("{", "}", "None", "Undefined", "  ", "\n\n\n"):
        assert leftover not in letter.subject + letter.body, leftover


@pytest.fixture
def pack_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the municipality's pack have texts of its own."""

    def change(**messages: str) -> None:
        pack = jurisdiction().model_copy(
            update={"messages": {f"{name.replace('__', '.')}.es.txt": text for name, text in messages.items()}}
        )
        monkeypatch.setattr(sources, "jurisdiction", lambda: pack)

    return change


def test_the_acknowledgement_says_until_when_and_why(databases: dict[str, Database]) -> None:
    envelope = filed()
    letter = _letter(databases, envelope)
    print(letter.subject, letter.body, sep="\n")

    assert letter.subject == (
        f"Recibimos su solicitud {NUMBER}: le responderemos a más tardar el martes, 29 de diciembre de 2026"
    )
    for said in (
        NUMBER,
        CODE,
        "Ana María Muñoz",
        "viernes, 4 de diciembre de 2026, 6:40",
        "15 días hábiles (Ley 1755 de 2015, art. 14 inc. 1)",
        "- lunes, 7 de diciembre de 2026: día 1\n",
        "- martes, 29 de diciembre de 2026: día 15\n",
        jurisdiction().texts.greeting,
        "Ley 1581 de 2012",
    ):
        assert said in letter.body
    days = envelope.data["days"]
    assert letter.body.count("\n- ") == len(days) == 25
    uncounted = [line for line in letter.body.splitlines() if "no cuenta" in line]
    assert len(uncounted) == 10
    assert uncounted[0] == "- sábado, 5 de diciembre de 2026: no cuenta, fin de semana"
    assert uncounted[2] == "- martes, 8 de diciembre de 2026: no cuenta, Inmaculada Concepción (Ley 51 de 1983)"
    _no_leftovers(letter)
    _no_leftovers(_letter(databases, envelope, "en"))
    assert "Tuesday, December 29, 2026" in _letter(databases, envelope, "en").subject


def _both(databases: dict[str, Database], kind: type[contracts.Event], /, **fields: Any) -> tuple[Letter, Letter]:
    """What a person reads of an event, in Spanish and in English."""
    envelope = told(kind, **fields)
    written = [_letter(databases, envelope, language) for language in ("es", "en")]
    for letter in written:
        print(letter.subject, letter.body, sep="\n", end="-" * 80 + "\n")
        assert NUMBER in letter.subject + letter.body
        _same(letter)
        _no_leftovers(letter)
    return written[0], written[1]


def _says(letter: Letter, *said: str) -> None:
    whole = f"{letter.subject}\n{letter.body}"
    assert [text for text in said if text not in whole] == []


SAID: dict[type[contracts.Event], tuple[list[str], list[str]]] = {
    contracts.RequestCompletionAsked: (
        [
            "complétela a más tardar el lunes, 4 de enero de 2027",
            "Si necesita más tiempo",
            "El plano del salón.\nLa firma.",
            "está detenido",
            "Quedarán 9 días del plazo",
            "código de seguimiento",
            "(Lunes a viernes, de 7:00 a 16:30)",
        ],
        [
            "complete it by Monday, January 4, 2027",
            "If you need more time",
            "La firma.",
            "stands still",
            "9 days of the term",
            "tracking code",
        ],
    ),
    contracts.RequestExtensionAnnounced: (
        [
            "Hay que visitar el salón.",
            "martes, 29 de diciembre de 2026",
            "miércoles, 20 de enero de 2027",
            "constancia",
        ],
        ["Hay que visitar el salón.", "Tuesday, December 29, 2026", "Wednesday, January 20, 2027", "the proof"],
    ),
    contracts.RequestDueDateMoved: (
        [
            "Día cívico (Decreto 999 de 2026)",
            "los plazos no corren",
            "Antes debíamos responderle a más tardar el martes, 29 de diciembre de 2026",
            "Ahora debemos responderle a más tardar el miércoles, 30 de diciembre de 2026",
        ],
        ["Día cívico (Decreto 999 de 2026)", "Tuesday, December 29, 2026", "Wednesday, December 30, 2026"],
    ),
    contracts.RequestTransferred: (
        ["Enviada a: Acueducto de Bogotá", "El acueducto repara las redes.", "Oficio S-2026-000009-11"],
        ["Sent to: Acueducto de Bogotá", "El acueducto repara las redes.", "Oficio S-2026-000009-11"],
    ),
    contracts.RequestWithdrawn: (
        ["porque no se completó", "No llegó el plano.", "recurso de reposición", "de nuevo"],
        ["was not completed", "No llegó el plano.", "recurso de reposición", "again"],
    ),
    contracts.RequestAnswered: (
        [
            "Respuesta a su solicitud",
            "BOG-S-2026-000007-11",
            "Subdirección de Asuntos Comunales",
            "Sí: la obra empieza en enero.\n\nCordialmente",
            "dentro de los 10 días siguientes, ante esta oficina.",
        ],
        ["Answer to your request", "BOG-S-2026-000007-11", "(appeal): dentro de los 10 días"],
    ),
}


@pytest.mark.parametrize("kind", CITIZEN_EVENTS, ids=lambda kind: kind.type)
def test_what_a_citizen_is_told(databases: dict[str, Database], kind: type[contracts.Event]) -> None:
    spanish, english = _both(databases, kind, **CITIZEN_EVENTS[kind])
    _says(spanish, "Ana María Muñoz", jurisdiction().entity.email, "Ley 1581 de 2012", *SAID[kind][0])
    _says(english, "Dear Ana María Muñoz", jurisdiction().entity.email, *SAID[kind][1])
    for letter in (spanish, english):
        assert "Ley 1755" not in letter.body  # the event names no law


@pytest.mark.parametrize("kind", CITIZEN_EVENTS, ids=lambda kind: kind.type)
def test_what_an_event_leaves_open_is_not_made_up(databases: dict[str, Database], kind: type[contracts.Event]) -> None:
    bare: dict[str, Any] = {"recipient_name": None, "office": "closed-office"}
    for name, field in kind.model_fields.items():
        if name in CITIZEN_EVENTS[kind] and not field.is_required():
            bare[name] = field.default
        elif name.endswith("due_date") and "None" in str(field.annotation):
            bare[name] = None
    for letter in _both(databases, kind, **(CITIZEN_EVENTS[kind] | bare)):
        assert "closed-office" not in letter.body


def test_more_time_to_complete_is_offered_only_where_there_is_any(databases: dict[str, Database]) -> None:
    given = CITIZEN_EVENTS[contracts.RequestCompletionAsked] | {"may_be_extended": False}
    spanish, english = _both(databases, contracts.RequestCompletionAsked, **given)
    assert "más tiempo" not in spanish.body
    assert "more time" not in english.body


def test_an_answer_that_is_partial_or_refuses_says_so(databases: dict[str, Database]) -> None:
    given = CITIZEN_EVENTS[contracts.RequestAnswered]
    spanish, english = _both(databases, contracts.RequestAnswered, **given, kind="partial")
    _says(spanish, "Respuesta parcial a su solicitud", "El plazo sigue corriendo", "se la responderemos aparte")
    _says(english, "Partial answer to your request", "The term goes on")
    spanish, english = _both(databases, contracts.RequestAnswered, **given, kind="refusal")
    _says(spanish, "decidimos no conceder lo que pidió", "ante esta oficina.")
    _says(english, "We decided not to grant what you asked", "(appeal)")


def test_a_request_withdrawn_at_the_person_s_own_wish(databases: dict[str, Database]) -> None:
    spanish, english = _both(databases, contracts.RequestWithdrawn, withdrawn_at=FRIDAY_EVENING, tacit=False)
    _says(spanish, "quedó retirada, como lo pidió", "Si no fue usted")
    _says(english, "was withdrawn, as you asked", "If it was not you")
    assert "reposición" not in spanish.body + english.body


def test_a_corrected_type_and_a_promise_that_is_no_law(databases: dict[str, Database]) -> None:
    given = CITIZEN_EVENTS[contracts.RequestDueDateMoved]
    changed = given | {"cause": "retype", "act": "Compromiso de servicio de la entidad"}
    spanish, english = _both(databases, contracts.RequestDueDateMoved, **changed)
    _says(spanish, "es «Petición de interés general»", "Fundamento: Compromiso de servicio de la entidad\n")
    _says(english, 'it is "Petición de interés general"')
    assert "la ley" not in spanish.body.lower().replace("según la ley 1581", "")


def test_the_alert_to_the_head(databases: dict[str, Database]) -> None:
    spanish, english = _both(
        databases, contracts.RequestBecameOverdue, due_date=date(2026, 12, 29), overdue_at=FRIDAY_EVENING
    )
    _says(spanish, "Vencida", "Subdirección de Asuntos Comunales", "martes, 29 de diciembre de 2026")
    _says(english, "Overdue", "Tuesday, December 29, 2026")


@pytest.mark.parametrize(
    ("cause", "spanish", "english"),
    [
        ("answered", "la respuesta.", "The answer could not"),
        ("completion_asked", "el pedido de completarla.", "What the person is asked to complete could not"),
        ("extension_announced", "el aviso de la prórroga.", "The notice of the extension could not"),
        ("due_date_moved", "el aviso de que cambió la fecha.", "The notice that the date changed could not"),
        ("transferred", "el aviso del traslado.", "The notice of the transfer could not"),
        ("withdrawn", "el aviso de que quedó archivada.", "The notice that it was closed could not"),
    ],
)
@pytest.mark.parametrize("due_date", [date(2026, 12, 29), None])
def test_what_did_not_reach_the_citizen_is_told_to_the_office(
    databases: dict[str, Database], cause: str, spanish: str, english: str, due_date: date | None
) -> None:
    given = {"cause": cause, "failed_at": FRIDAY_EVENING, "due_date": due_date, "send_from": FRIDAY_EVENING}
    written = _both(databases, contracts.RequestMessageUndelivered, **given)
    _says(written[0], f"Solicitud {NUMBER}: avise a la persona por otro medio", spanish, "guarde la constancia")
    _says(written[1], f"Request {NUMBER}: tell the person in another way", english, "keep the proof")
    assert ("martes, 29 de diciembre de 2026" in written[0].body) == (due_date is not None)


@pytest.mark.parametrize("kind", [*CITIZEN_EVENTS, contracts.RequestSubmitted], ids=lambda kind: kind.type)
def test_a_letter_says_where_the_request_is_followed(
    databases: dict[str, Database], kind: type[contracts.Event]
) -> None:
    """In what names the tracking code; without it in the address."""
    if kind is contracts.RequestSubmitted:
        letters_written = [_letter(databases, filed(), language) for language in ("es", "en")]
    else:
        letters_written = [*_both(databases, kind, **CITIZEN_EVENTS[kind])]
    for letter in letters_written:
        named = any(words in letter.body.lower() for words in ("código de seguimiento", "tracking code"))
        assert (f"http://127.0.0.1:8100/seguimiento/{NUMBER}\n" in letter.body) == named
        assert f"{NUMBER}/" not in letter.body


TUESDAY = datetime(2026, 12, 29, 13, 0, tzinfo=UTC)  # 8:00 in Bogotá, and the day it is due


@pytest.mark.parametrize(
    ("threshold", "days", "spanish", "english"),
    [
        ("due_soon", -6, "vence pronto", "ends soon"),
        ("-3", -5, "vence en 3 días hábiles", "ends in 3 working days"),
        ("-1", -1, "vence en 1 día hábil", "ends in 1 working day"),
        ("+0", 0, "vence hoy", "ends today"),
        ("+0", -1, "vence pronto", "ends soon"),  # told on the last open day before a due date on a closed one
        ("+0", 1, "venció", "has ended"),  # told late
        ("+1", 1, "venció hace 1 día hábil", "ended 1 working day ago"),
        ("+3", 3, "venció hace 3 días hábiles", "ended 3 working days ago"),
    ],
)
def test_a_reminder_says_how_near_the_date_is(
    databases: dict[str, Database], threshold: str, days: int, spanish: str, english: str
) -> None:
    given = {"clock": "answer", "due_date": TUESDAY.date(), "to": ["office"], "threshold": threshold}
    written = _both(databases, contracts.RequestReminder, **given, send_from=TUESDAY + timedelta(days=days))
    assert written[0].subject == f"Solicitud {NUMBER}: {spanish} el plazo para responder"
    assert written[1].subject == f"Request {NUMBER}: the time to answer {english}"
    _says(written[0], "Petición de interés general", "martes, 29 de diciembre de 2026", "Asuntos Comunales")
    _says(written[1], "Petición de interés general", "Tuesday, December 29, 2026", "Asuntos Comunales")


@pytest.mark.parametrize("clock", sorted(get_args(Clock)))
def test_every_clock_has_its_words(databases: dict[str, Database], clock: str) -> None:
    given = {"clock": clock, "due_date": TUESDAY.date(), "to": ["office"], "threshold": "+0", "send_from": TUESDAY}
    for letter in _both(databases, contracts.RequestReminder, **given):
        assert f"clock.{clock}" not in letter.body
        assert f"reminder.{clock}" not in letter.body


def test_the_municipality_s_own_text_takes_the_place_of_ours(databases: dict[str, Database], pack_with: Any) -> None:
    pack_with(requests_submitted="Radicado {{ number }}\nVence {{ due_date | day }}. {{ entity.short_name }}")
    letter = _letter(databases, filed())
    assert letter.version.startswith("pack:")
    assert letter.body == "Vence martes, 29 de diciembre de 2026. IDPAC\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Asunto\n{{ numero }}", "UndefinedError: 'numero' is undefined"),
        ("Asunto\n{% if number %}", "TemplateSyntaxError"),
        ("Asunto\n{{ recipient_name + 1 }}", "TypeError"),
        ("Asunto\n{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("Solo asunto", "a subject line and a text are needed"),
    ],
)
def test_a_broken_text_says_what_is_wrong(
    databases: dict[str, Database], pack_with: Any, text: str, reason: str
) -> None:
    pack_with(requests_submitted=text)
    with pytest.raises(Unsendable) as raised:
        _letter(databases, filed())
    said = service.text(raised.value.code, **raised.value.params)
    assert reason in said
    assert "requests_submitted.es.txt" in said
    assert "Ana" not in said


def test_what_was_saved_comes_before_the_pack_and_that_before_ours(
    databases: dict[str, Database], pack_with: Any
) -> None:
    def save(number: int, source: str | None) -> None:
        with databases["notifications"].tx() as session:
            row = {"name": "requests_submitted", "form": "mail", "language": "es", "author": "a"}
            session.add(TemplateVersion(**row, number=number, source=source))
        sources.forget()

    envelope = filed()
    ours = _letter(databases, envelope).version
    assert re.fullmatch("ours:[0-9a-f]{8}", ours)
    pack_with(requests_submitted="Radicado {{ number }}\nDel paquete.")
    assert _letter(databases, envelope).body == "Del paquete.\n"
    save(1, "Radicado\nUno.")
    save(2, "Radicado\nDos.")
    letter = _letter(databases, envelope)
    assert (letter.body, letter.version) == ("Dos.\n", "saved:2")
    assert _letter(databases, envelope, "en").version.startswith("ours:")
    assert _letter(databases, envelope, "pt").language == "es"
    save(3, None)
    assert _letter(databases, envelope).version.startswith("pack:")
    pack_with()
    assert _letter(databases, envelope).version == ours


def test_many_letters_ask_the_database_once(databases: dict[str, Database]) -> None:
    asked = []
    engine = databases["notifications"].engine
    sa.event.listen(engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    context = service.opened(event_in(filed()))
    with databases["notifications"].tx() as session:
        for _ in range(50):
            letters.write(sources.saved(session), "requests.submitted", "requests_submitted", "es", context)
    assert len([statement for statement in asked if "template_version" in statement]) == 1


def test_a_short_message_says_where_to_look_and_nothing_of_the_person(
    databases: dict[str, Database], pack_with: Any
) -> None:
    envelopes = [filed(), *(told(kind, **CITIZEN_EVENTS[kind]) for kind in CITIZEN_EVENTS)]
    for envelope in envelopes:
        for language in ("es", "en"):
            short = _letter(databases, envelope, language, form="short")
            mail = _letter(databases, envelope, language)
            assert short.subject == "IDPAC"
            assert short.body == f"{mail.subject} http://127.0.0.1:8100/seguimiento/{NUMBER}"
            assert short.html == ""
            assert len(f"{short.subject}: {short.body}") <= 300
    pack_with(requests_submitted="Para {{ recipient_name }}, código {{ tracking_code }}" + " y más" * 80 + "\nTexto.")
    short = _letter(databases, filed(), form="short")
    assert "Ana" not in short.body
    assert CODE not in short.body
    assert short.body.endswith(f"… http://127.0.0.1:8100/seguimiento/{NUMBER}")
    assert len(f"{short.subject}: {short.body}") == 300
    pack_with(requests_submitted__short="Radicado {{ number }}:\nvence {{ due_date | day }}.")
    assert (
        _letter(databases, filed(), form="short").body == f"Radicado {NUMBER}: vence martes, 29 de diciembre de 2026."
    )
    pack_with(requests_submitted__short="Hola {{ recipient_name }}")
    with pytest.raises(Unsendable, match="template"):
        _letter(databases, filed(), form="short")


HOSTILE = [
    "<script>alert(1)</script>",
    "</p></div><h1>URGENTE</h1>",
    '<a href="https://malo.example">pague aquí</a>',
    '" onmouseover="alert(1)',
    "{{ 7 * 7 }} {% raw %}",
    "&lt;b&gt; &amp; <!-- --> <style>body{display:none}</style>",
]


def test_nothing_that_a_person_writes_is_markup(databases: dict[str, Database]) -> None:
    given = CITIZEN_EVENTS[contracts.RequestAnswered]
    plain = _read(_letter(databases, told(contracts.RequestAnswered, **given | {"answer": "Sí."})).html)
    for said in HOSTILE:
        envelope = told(contracts.RequestAnswered, **given | {"answer": said, "recipient_name": said})
        letter = _letter(databases, envelope)
        page = _read(letter.html)
        assert page.tags == plain.tags
        assert page.links == plain.links
        assert said in "".join(page.said).replace("\n", " ")
        _same(letter)


@pytest.mark.parametrize(
    ("address", "linked"),
    [
        ("http://127.0.0.1:8100/seguimiento/1", True),
        ("https://idpac.example.org/tramites?a=1&b=2", True),
        ("HTTPS://IDPAC.example.org:443/", True),
        ("http://idpac.example.org/", False),
        ("https://idpac.example.org.malo.example/", False),
        ("https://idpac.example.org@malo.example/", False),
        ("https://malo.example/?https://idpac.example.org", False),
        ("https://idpac.example.org:8443/", False),
        ("https://idpac.example.org\\.malo.example/", False),
        ("javascript://idpac.example.org/%0aalert(1)", False),
        ("https://[::1/", False),
        ("http://127.0.0.1:81000/", False),
    ],
)
def test_only_our_own_addresses_are_links(address: str, linked: bool) -> None:
    entity = jurisdiction().entity
    html = html_of(
        "Asunto", f"Vea {address}.", "es", entity=entity, signature="Firma", public_url="http://127.0.0.1:8100"
    )
    assert _read(html).links == ([address] if linked else [])
    assert f"Vea {address}." in "".join(_read(html).said)


def test_headings_lists_facts_and_dates_are_easy_to_find(databases: dict[str, Database]) -> None:
    html = _letter(databases, filed()).html
    assert '<section class="due">\n<h2>HASTA CUÁNDO</h2>' in html
    assert "<strong>Debemos responderle a más tardar el martes, 29 de diciembre de 2026.</strong>" in html
    assert '<section class="act">\n<h2>QUÉ DEBE HACER</h2>' in html
    assert f"<dt>Código de seguimiento</dt> <dd>{CODE}</dd>" in html
    assert html.count("<li>") == 25
    moved = _letter(
        databases, told(contracts.RequestDueDateMoved, **CITIZEN_EVENTS[contracts.RequestDueDateMoved])
    ).html
    assert re.findall("<strong>(.*?)</strong>", moved) == [
        "Ahora debemos responderle a más tardar el miércoles, 30 de diciembre de 2026."
    ]


def test_who_may_leave_is_told_how_in_both(databases: dict[str, Database]) -> None:
    url = "http://127.0.0.1:8100/baja/t0ken"
    letter = _letter(databases, filed(), unsubscribe_url=url)
    assert letter.body.endswith(f": {url}\n")
    assert _read(letter.html).links[-1] == url


COSTLY = [
    "{% for a in days %}{% for b in days %}{% for c in days %}{% for d in days %}x{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}x{% endfor %}",
    "{{ 'x' * 1000000000 }}",
    "{{ 10 ** 1000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ 'x' | center(1000000000) }}",
    "{% set x = 'xxxxxxxxxxxxxxxx' %}" + "{% set x = x ~ x ~ x ~ x %}" * 40 + "{{ x }}",
    "{% set x %}xxxxxxxxxxxxxxxx{% endset %}" + "{% set x %}{{ x }}{{ x }}{{ x }}{% endset %}" * 40 + "{{ x }}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% set x = [1, 1] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
    "{% for x in [[1, 1]] %}{{ x }}{% endfor %}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{% if number %}" * 900 + "x" + "{% endif %}" * 900,
    "{% include 'layout.html' %}",
    "{{ entity.__class__ }}",
    "{{ entity['__class__'] }}",
    "{{ (number | attr('__class__')) }}",
    "{{ entity.model_dump() }}",
    "{{ entity.model_dump }}",
    "{{ days }}",
    "{{ self }}",
    "{{ cycler }}",
]


def test_a_text_can_neither_run_long_nor_reach_out(databases: dict[str, Database], pack_with: Any) -> None:
    envelope = filed()
    for text in COSTLY:
        pack_with(requests_submitted=f"Asunto\n{text}\nFin")
        began = time.monotonic()
        with pytest.raises(Unsendable):
            print(text, _letter(databases, envelope).body[:100])
        assert time.monotonic() - began < 5, text
