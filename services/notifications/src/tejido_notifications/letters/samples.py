"""Fictional events, made from the models: what a text is tried on before it is saved, and shown with."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from tejido_notifications.letters.kinds import DigestItem, model_of
from tejido_notifications.letters.variables import is_model, shape_of
from tejido_notifications.settings import jurisdiction
from tejido_shared.contracts import AskedItem, CountedDay, Sealed, Standing

_FRIDAY = datetime(2026, 12, 4, 14, 40, tzinfo=UTC)
_KEY = UUID("00000000-0000-7000-8000-000000000001")
_VALUES: dict[str, Any] = {
    "number": "ABC-2026-000123-45",
    "answer_number": "ABC-S-2026-000087-21",
    "organization_number": "JAC-0042",
    "type_name": "Petición de interés general",
    "request_type": "peticion-interes-general",
    "term": "15 días hábiles",
    "article": "Ley 1755 de 2015, art. 14 inc. 1",
    "language": "es",
    "recipient_name": "Ana María Muñoz",
    "name": "Ana María Muñoz",
    "recipient_email": "ana.munoz@correo.example",
    "recipient_phone": "+573001234567",
    "assignee_email": "l.rojas@entidad.example",
    "assignee": "funcionaria-7",
    "tracking_code": "K7QM2XRD",
    "code": "482 913",
    "minutes": 30,
    "what": "El plano del salón comunal.\nLa firma de la presidenta de la junta.",
    "reasons": "Hay que visitar el salón comunal para medirlo.",
    "evidence": "Oficio S-2026-000009-11, recibido el 4 de diciembre de 2026",
    "authority": "Empresa de Acueducto (ficticia)",
    "act": "Día cívico (Decreto 999 de 2026)",
    "answer": "Sí: la reparación del salón comunal empieza en enero.\n\nLa obra dura seis semanas y no tiene costo para la junta.",
    "appeal_until": "dentro de los 10 días siguientes, ante esta oficina.",
    "threshold": "-3",
    "organization_name": "Junta de Acción Comunal del barrio La Esperanza",
    "subject": "Convocatoria: presupuestos participativos 2027",
    "text": "Invitamos a su organización a presentar proyectos.\n\nHay dos líneas: espacio público y cultura.",
    "summary": "Reunión informativa sobre presupuestos participativos",
    "place": "Salón comunal La Esperanza, Calle 0 n.º 0-00",
    "due_date": date(2026, 12, 29),
    "old_due_date": date(2026, 12, 29),
    "new_due_date": date(2027, 1, 20),
    "complete_until": date(2027, 1, 4),
    "starts_at": _FRIDAY + timedelta(days=14),
    "ends_at": _FRIDAY + timedelta(days=14, hours=2),
    "send_from": _FRIDAY + timedelta(days=18),
    "organization_type": "junta-accion-comunal",
    "status": "registered",
    "before": "registered",
    "until": date(2027, 3, 1),
    "grace_until": date(2027, 3, 1),
    "next_filing_on": date(2027, 12, 29),
    "title": "Huerta comunal La Esperanza",
    "channel": "email",
}
_LISTS: dict[Any, list[dict[str, Any]]] = {
    CountedDay: [
        {"day": "2026-12-05", "why_not": "fin de semana"},
        {"day": "2026-12-07", "ordinal": 1},
        {"day": "2026-12-08", "why_not": "Inmaculada Concepción (Ley 51 de 1983)"},
        {"day": "2026-12-09", "ordinal": 2},
    ],
    DigestItem: [
        {"subject": "Solicitud ABC-2026-000123-45: vence en 3 días hábiles el plazo para responder", "at": _FRIDAY},
        {
            "subject": "Solicitud ABC-2026-000131-02: vence hoy el plazo para responder",
            "at": _FRIDAY + timedelta(hours=2),
        },
    ],
    AskedItem: [
        {"name": "Estatuto", "reason": "Falta la última página."},
        {"name": "Domicilio", "reason": "No dice en qué barrio está."},
    ],
    Standing: [
        {"purpose": "apply", "allowed": True},
        {"purpose": "sign", "allowed": False, "reasons": ["mandate_expired"]},
    ],
}
_CHOICES = re.compile(r"(?:[^:]*: )?(?P<choices>[a-z_]+(?:(?:, | or )[a-z_]+)+)")


def sample(cause_type: str, *, full: bool) -> str:
    """A fictional event as JSON: with everything that it may carry, or with nothing that it may lack."""
    return _made(model_of(cause_type), full).model_dump_json()


def samples(cause_type: str) -> Iterator[tuple[str, str]]:
    """Name and JSON of every sample a text must hold for: full, bare, and either of these with each other choice."""
    model = model_of(cause_type)
    for name, full in (("full", True), ("bare", False)):
        made = _made(model, full)
        yield name, made.model_dump_json()
        for field, info in model.model_fields.items():
            for other in _others(getattr(made, field), info):
                yield f"{name}, {field}={str(other).lower()}", made.model_copy(update={field: other}).model_dump_json()


def _made(model: type[BaseModel], full: bool) -> BaseModel:
    given = {}
    for name, field in model.model_fields.items():
        if full:
            given[name] = _value(name, field)
        elif field.is_required():
            given[name] = None if shape_of(field.annotation).optional else _value(name, field)
    if not full and "office" in given:
        given["office"] = "closed-office"  # one that has left the pack
    return model.model_validate(given)


def _value(name: str, field: FieldInfo) -> Any:
    of, _, many = shape_of(field.annotation)
    if name == "office":
        return jurisdiction().offices[0].code
    choices = _choices(field)
    if choices and of in (str, Sealed):
        return choices if many else choices[0]
    if of in _LISTS:
        return _LISTS[of]
    if name in _VALUES:
        return _VALUES[name]
    if is_model(of):
        return [_made(of, True)] * 2 if many else _made(of, True)
    plain: dict[Any, Any] = {
        bool: True,
        int: 9,
        float: 1.5,
        UUID: _KEY,
        date: _FRIDAY.date(),
        datetime: _FRIDAY,
        AwareDatetime: _FRIDAY,
    }
    value = plain.get(of, f"Ejemplo de {name.replace('_', ' ')}")
    return [value] if many else value


def _others(value: Any, field: FieldInfo) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    return [choice for choice in _choices(field) if choice != value] if isinstance(value, str) else []


def _choices(field: FieldInfo) -> list[str]:
    """The values that a description lists: `closure, retype`; `mandate or filing`."""
    found = _CHOICES.fullmatch(field.description or "")
    return re.split(", | or ", found["choices"]) if found else []
