"""The proof of receipt (constancia de radicación), with all that the law asks to be recorded of a written or a verbal request.

Sources: Ley 1755/2015 (CPACA) arts. 15, 16 and 20; Decreto 1166/2016 (DUR 1069/2015, art. 2.2.3.12.3).
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from tejido_requests.documents.typesetting import Block, Language, Words, pdf
from tejido_shared.contracts import CountedDay
from tejido_shared.jurisdiction.models import Entity
from tejido_shared.typesetting import qr


@dataclass(frozen=True)
class Petitioner:
    """Who presents the request."""

    name: str
    identification: str | None = None
    address: str | None = None
    email: str | None = None
    phone: str | None = None
    representative: str | None = None
    representative_identification: str | None = None


@dataclass(frozen=True)
class LegalTerm:
    """The time to answer. `words`: "15 días hábiles". `kind`: `service_commitment` is the entity's own promise, `typed` a date that the
    asking authority set; neither is called the law's. `days` is the whole count, empty when the term is not counted by days.
    """

    words: str
    kind: Literal["legal", "service_commitment", "typed"]
    article: str | None
    effective_receipt_date: date
    due_date: date
    days: tuple[CountedDay, ...] = ()


@dataclass(frozen=True)
class Receipt:
    """What a receipt says. Names of types, offices and channels come in words; instants have an offset.

    With `identity` other than "named" the petitioner is not printed even if given; with "confidential" neither are the organization
    and the names of the attachments, only how many they are. `tracking_url` goes into the QR code and must hold neither the tracking
    code nor personal data. `received_by`: name or account of the official. `missing`: what the request lacked when the citizen insisted
    on filing it. `issued_at`: when this copy is made. `answers`: what the type asks beyond the subject, each question with what was said.
    """

    entity: Entity
    country: str
    zone: ZoneInfo
    number: str
    tracking_code: str
    tracking_url: str
    received_at: datetime
    issued_at: datetime
    type_name: str
    channel: str
    office: str
    subject: str
    term: LegalTerm
    reasons: str | None = None
    answers: tuple[tuple[str, str | date | float], ...] = ()
    identity: Literal["named", "anonymous", "confidential"] = "named"
    petitioner: Petitioner | None = None
    organization: str | None = None
    addressees: tuple[str, ...] = ()
    place: str | None = None
    priority: str | None = None
    attachments: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    verbal: bool = False
    received_by: str | None = None
    data_protection: str | None = None
    language: Language = "es"


def receipt(of: Receipt) -> bytes:
    """The receipt as PDF. Raises `ValueError` when a named petitioner is announced and none given, or the QR would hold the code."""
    if of.identity == "named" and of.petitioner is None:
        raise ValueError("identity is named but there is no petitioner")
    if of.tracking_code in of.tracking_url:
        raise ValueError("the tracking address must not hold the tracking code")
    words = Words(of.language, of.country)
    blocks = [_panel(of, words)]
    if of.verbal:
        blocks.append({"kind": "note", "text": words.law("receipt.verbal_statement")})
    blocks += [
        _heading(words.say("receipt.who")),
        _fields(_who(of, words), words),
        _heading(words.say("receipt.what")),
        _fields(_what(of, words), words),
        _heading(words.say("receipt.object")),
        {"kind": "quoted", "text": of.subject},
        _heading(words.say("receipt.reasons")),
        {"kind": "quoted", "text": of.reasons or words.say("receipt.no_reasons")},
        *_answers(of, words),
        _heading(words.say("receipt.attachments")),
        *_attachments(of, words),
    ]
    if of.missing:
        blocks += [
            _heading(words.say("receipt.missing")),
            {"kind": "prose", "text": words.law("receipt.insisted")},
            {"kind": "items", "items": of.missing},
        ]
    blocks += [*_term(of, words), _heading(words.say("receipt.record")), _fields(_record(of, words), words)]
    blocks.append({"kind": "small", "text": words.law("receipt.copy")})
    if of.data_protection:
        blocks.append({"kind": "small", "text": of.data_protection})
    return pdf(
        words,
        of.entity,
        title=words.say("receipt.title"),
        subtitle=words.say("receipt.verbal" if of.verbal else "receipt.written"),
        footer=f"{of.entity.short_name} · {of.number}",
        blocks=blocks,
        at=of.issued_at,
    )


def _panel(of: Receipt, words: Words) -> Block:
    return {
        "kind": "panel",
        "label": words.say("receipt.number"),
        "value": of.number,
        "rows": [
            [words.say("receipt.received"), f"{_received_day(of, words)}, {words.hour(of.received_at, of.zone)}"],
            [words.say("receipt.tracking_code"), of.tracking_code],
            [words.say("receipt.due"), words.day(of.term.due_date)],
            [words.say("receipt.channel"), of.channel],
        ],
        "qr": qr.svg(of.tracking_url),
        "qr_alt": words.say("receipt.qr_alt", url=of.tracking_url),
        "qr_caption": words.say("receipt.qr_caption"),
        "url": of.tracking_url,
    }


def _received_day(of: Receipt, words: Words) -> str:
    return words.day(of.received_at.astimezone(of.zone).date())


def _who(of: Receipt, words: Words) -> dict[str, str | None]:
    person = of.petitioner
    organization = {"organization": of.organization if of.identity != "confidential" else None}
    if of.identity != "named" or person is None:
        return {"petitioner": words.say(f"receipt.{of.identity}")} | organization
    return {
        "petitioner": person.name,
        "identification": person.identification,
        "address": person.address,
        "email": person.email,
        "phone": person.phone,
        "representative": person.representative,
        "representative_identification": person.representative_identification,
    } | organization


def _what(of: Receipt, words: Words) -> dict[str, str | None]:
    return {
        "type": of.type_name,
        "addressees": "\n".join(of.addressees or (of.entity.name,)),
        "office": of.office,
        "place": of.place,
        "priority": words.law("receipt.priority_given", why=of.priority) if of.priority else None,
    }


def _answers(of: Receipt, words: Words) -> list[Block]:
    """What was said to the questions of the type."""
    rows = [[question, _said(answer, words)] for question, answer in of.answers]
    return [_heading(words.say("receipt.answers")), {"kind": "fields", "rows": rows}] if rows else []


def _said(answer: str | date | float, words: Words) -> str:
    if isinstance(answer, date):
        return words.plain_day(answer)
    return answer if isinstance(answer, str) else words.plain_number(answer)


def _attachments(of: Receipt, words: Words) -> list[Block]:
    n = len(of.attachments)
    count = words.say(f"receipt.attachments.{'none' if n == 0 else 'one' if n == 1 else 'many'}", n=n)
    blocks: list[Block] = [{"kind": "prose", "text": count}]
    if n and of.identity != "confidential":
        blocks.append({"kind": "numbered", "items": of.attachments})
    return blocks


def _term(of: Receipt, words: Words) -> list[Block]:
    term = of.term
    sentence = words.say(
        f"receipt.term.{term.kind}", due=words.day(term.due_date), term=term.words, article=term.article or ""
    )
    start = words.say("receipt.term.from", day=words.day(term.effective_receipt_date))
    blocks: list[Block] = [
        _heading(words.say("receipt.term")),
        {"kind": "prose", "text": sentence if term.kind == "typed" else f"{sentence} {start}"},
    ]
    if term.days:
        rows = [
            [
                words.short_day(day.day),
                words.number(day.ordinal) if day.ordinal else day.why_not or "",
                bool(day.ordinal),
            ]
            for day in term.days
        ]
        half = -(-len(rows) // 2)
        blocks += [
            _heading(words.say("receipt.days")),
            {
                "kind": "days",
                "columns": [words.say("receipt.days.day"), words.say("receipt.days.count")],
                "parts": [part for part in (rows[:half], rows[half:]) if part],
            },
        ]
    elif term.kind != "typed":
        blocks.append({"kind": "prose", "text": words.say("receipt.days.none")})
    return blocks


def _record(of: Receipt, words: Words) -> dict[str, str | None]:
    issued = words.day(of.issued_at.astimezone(of.zone).date())
    return {
        "received_by": of.received_by or words.say("receipt.received_by_system"),
        "form": words.say("receipt.verbal" if of.verbal else "receipt.written"),
        "issued": f"{issued}, {words.hour(of.issued_at, of.zone)}",
    }


def _heading(text: str) -> Block:
    return {"kind": "heading", "text": text}


def _fields(of: dict[str, str | None], words: Words) -> Block:
    """What is known, each with its label."""
    return {"kind": "fields", "rows": [[words.say(f"receipt.{code}"), value] for code, value in of.items() if value]}
