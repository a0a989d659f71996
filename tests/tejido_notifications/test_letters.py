"""Mails as people read them."""

from typing import Any

import pytest
import sqlalchemy as sa

from tejido_notifications import letters, service
from tejido_notifications.letters import Letter, Unsendable
from tejido_notifications.models import Delivery
from tejido_notifications.settings import jurisdiction
from tejido_shared.db import Database

from .conftest import deliver_event, file_request, last_event


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
    request, envelope = file_request(databases)
    deliver_event(databases, envelope)
    letter = _letter(databases, "requests.submitted")
    print(letter.subject, letter.body, sep="\n")

    assert letter.subject == (
        f"Recibimos su solicitud {request.number}: le responderemos a más tardar el martes, 29 de diciembre de 2026"
    )
    for said in (
        request.number,
        request.tracking_code,
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


def test_the_answer_and_the_alert(databases: dict[str, Database]) -> None:
    from tejido_requests import service as requests
    from tejido_requests.models import ServiceRequest

    request, _ = file_request(databases)
    with databases["requests"].tx() as session:
        requests.announce_overdue(session, request.overdue_at)
        stored = session.get_one(ServiceRequest, request.id)
        requests.answer(session, stored, "Sí: la obra empieza en enero.\n\nCordialmente", "funcionaria-1")
    for type_ in ("requests.became_overdue", "requests.answered"):
        deliver_event(databases, last_event(databases, type_))
        for language in ("es", "en"):
            letter = _letter(databases, type_, language)
            print(letter.subject, letter.body, sep="\n", end="-" * 80 + "\n")
            assert request.number in letter.subject
            _no_leftovers(letter)
    with databases["notifications"].tx() as session:
        alert = session.scalars(sa.select(Delivery).where(Delivery.audience == "office_head")).one()
        assert alert.recipient == jurisdiction().office(request.office).head_email
        assert jurisdiction().office(request.office).name in _letter(databases, "requests.became_overdue").body
    assert "Sí: la obra empieza en enero.\n\nCordialmente" in _letter(databases, "requests.answered").body


def test_the_municipality_s_own_text_takes_the_place_of_ours(databases: dict[str, Database], pack_with: Any) -> None:
    _, envelope = file_request(databases)
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
    _, envelope = file_request(databases)
    deliver_event(databases, envelope)
    pack_with(requests_submitted=text)
    with pytest.raises(Unsendable) as raised:
        _letter(databases, "requests.submitted")
    said = service.text(raised.value.code, **raised.value.params)
    assert reason in said
    assert "requests_submitted.es.txt" in said
    assert "Ana" not in said
