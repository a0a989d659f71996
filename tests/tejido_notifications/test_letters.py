"""Mails as people read them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from tejido_notifications import letters, service
from tejido_notifications.letters import Letter, Unsendable
from tejido_notifications.models import Delivery
from tejido_notifications.settings import jurisdiction
from tejido_shared import contracts
from tejido_shared.db import Database
from tejido_shared.jurisdiction import Clock

from .conftest import CITIZEN_EVENTS, CODE, FRIDAY_EVENING, NUMBER, deliver_event, filed, told


def _letter(databases: dict[str, Database], cause_type: str, language: str | None = None) -> Letter:
    with databases["notifications"].tx() as session:
        delivery = session.scalars(sa.select(Delivery).where(Delivery.cause_type == cause_type)).one()
        return letters.write(cause_type, delivery.template, language or delivery.language, delivery.context)


def _no_leftovers(letter: Letter) -> None:
    for leftover in ("{", "}", "None", "Undefined", "  ", "\n\n\n"):
        assert leftover not in letter.subject + letter.body, leftover


@pytest.fixture
def pack_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the municipality's pack have texts of its own."""

    def change(**messages: str) -> None:
        pack = jurisdiction().model_copy(
            update={"messages": {f"{name}.es.txt": text for name, text in messages.items()}}
        )
        monkeypatch.setattr(letters, "jurisdiction", lambda: pack)
        letters._environment.cache_clear()

    yield change
    monkeypatch.undo()
    letters._environment.cache_clear()


def test_the_acknowledgement_says_until_when_and_why(databases: dict[str, Database]) -> None:
    envelope = filed()
    deliver_event(databases, envelope)
    letter = _letter(databases, "requests.submitted")
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
    _no_leftovers(_letter(databases, "requests.submitted", "en"))
    assert "Tuesday, December 29, 2026" in _letter(databases, "requests.submitted", "en").subject


def _both(databases: dict[str, Database], kind: type[contracts.Event], /, **fields: Any) -> tuple[Letter, Letter]:
    """What a person reads of an event, in Spanish and in English."""
    envelope = told(kind, **fields)
    assert deliver_event(databases, envelope)
    with databases["notifications"].tx() as session:
        delivery = session.scalars(sa.select(Delivery).where(Delivery.cause_id == envelope.id).limit(1)).one()
        written = [letters.write(envelope.type, delivery.template, lang, delivery.context) for lang in ("es", "en")]
    for letter in written:
        print(letter.subject, letter.body, sep="\n", end="-" * 80 + "\n")
        assert NUMBER in letter.subject + letter.body
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
        assert deliver_event(databases, filed())
        letters_written = [_letter(databases, kind.type, language) for language in ("es", "en")]
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
    envelope = filed()
    deliver_event(databases, envelope)
    pack_with(requests_submitted="Radicado {{ number }}\nVence {{ due_date | day }}. {{ entity.short_name }}")
    letter = _letter(databases, "requests.submitted")
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
    envelope = filed()
    deliver_event(databases, envelope)
    pack_with(requests_submitted=text)
    with pytest.raises(Unsendable) as raised:
        _letter(databases, "requests.submitted")
    said = service.text(raised.value.code, **raised.value.params)
    assert reason in said
    assert "requests_submitted.es.txt" in said
    assert "Ana" not in said
