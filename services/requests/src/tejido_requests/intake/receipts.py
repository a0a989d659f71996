"""The receipt of a stored request as PDF: what was received, and the count as it was told then."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests import documents
from tejido_requests.audit.queries import history_of
from tejido_requests.clocks import service as clocks
from tejido_requests.clocks import words
from tejido_requests.intake.service import term_in_words
from tejido_requests.models import Attachment, KnownOrganization, ServiceRequest
from tejido_requests.organizations import survivor
from tejido_requests.settings import PACKAGE, jurisdiction, settings
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.jurisdiction import AskedField
from tejido_shared.refusals import Refused

Language = Literal["es", "en"]


def receipt_pdf(session: Session, request: ServiceRequest) -> bytes:
    """The receipt in the request's language. Raises `Refused` once personal data was erased.

    A confidential petitioner is named in no copy, not even in the petitioner's own: anybody with number and code gets that one, and
    papers are left on tables. What happened later is not in it: another office, another type, a date that moved. The official is
    named by the account, the only thing a token is sure to say.
    """
    if request.tombstoned_at is not None:
        raise Refused("personal_data_erased")
    pack = jurisdiction()
    language: Language = "en" if request.language == "en" else "es"
    entries = history_of(session, request.id)
    retyped, moved = (_first(entries, kind) for kind in ("retyped", "moved"))
    hidden = request.confidential or request.petitioner_name is None
    return documents.receipt(
        documents.Receipt(
            entity=pack.entity,
            country=pack.country,
            zone=pack.zone,
            number=request.number,
            tracking_code=request.tracking_code,
            tracking_url=settings().common.tracking_url(request.number),
            received_at=request.received_at,
            issued_at=now(),
            type_name=_name(pack.request_type, retyped["details"]["from"]) if retyped else request.type_name,
            channel=_name(pack.channel, request.channel),
            office=_name(pack.office, moved["details"]["from"] if moved else request.office),
            subject=request.subject,
            reasons=request.reasons,
            answers=_answers(request, retyped),
            term=_term(session, request, entries, language),
            identity="anonymous" if request.anonymous else "confidential" if hidden else "named",
            petitioner=None if hidden else _petitioner(request),
            organization=_organization(session, request, language),
            addressees=tuple(request.addressees),
            place=_place(request),
            priority=_priority(request, language),
            attachments=_attachments(session, request),
            missing=tuple(filter(None, map(str.strip, (request.missing_at_receipt or "").splitlines()))),
            verbal=request.verbal,
            received_by=request.received_by_name or request.received_by,
            data_protection=pack.texts.data_protection,
            language=language,
        )
    )


def _first(entries: list[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    return next((entry for entry in entries if entry["kind"] == kind), None)


def _name(find: Callable[[str], Any], code: str) -> str:
    """The name of something of the pack; its code if the pack no longer has it."""
    try:
        return str(find(code).name)
    except LookupError:
        return code


def _petitioner(request: ServiceRequest) -> documents.Petitioner:
    parts = ("identification", "address", "email", "phone")
    return documents.Petitioner(
        name=request.petitioner_name or "",
        representative=request.representative_name,
        representative_identification=request.representative_identification,
        **{part: getattr(request, f"petitioner_{part}") for part in parts},
    )


def _organization(session: Session, request: ServiceRequest, language: Language) -> str | None:
    """Name and number in the register. One that is not known, for the registry may be away or late, is said to be unconfirmed."""
    if request.organization_id is None:
        return None
    known = session.get(KnownOrganization, survivor(session, request.organization_id))
    if known is None:
        return i18n.text(PACKAGE, "document.receipt.organization_unknown", language, id=request.organization_id)
    return f"{known.name} ({known.number})"


def _answers(request: ServiceRequest, retyped: dict[str, Any] | None) -> tuple[tuple[str, str | date | float], ...]:
    """What was said to the questions of the type it came with; to one that the pack no longer asks, under its code."""
    given: dict[str, Any] = json.loads(request.answers_given) if request.answers_given else {}
    try:
        fields = jurisdiction().request_type(retyped["details"]["from"] if retyped else request.request_type).fields
    except LookupError:
        fields = ()
    answers = [(field.name, _said(field, given.pop(field.code))) for field in fields if field.code in given]
    # What else there is after the type was corrected came with that.
    return (*answers, *(() if retyped else given.items()))


def _said(field: AskedField, answer: Any) -> Any:
    if field.kind == "date":
        with suppress(ValueError):
            return date.fromisoformat(str(answer))
    return answer


def _term(
    session: Session, request: ServiceRequest, entries: list[dict[str, Any]], language: Language
) -> documents.LegalTerm:
    told = [entry for entry in entries if entry["kind"] == "received"]
    kind, article = request.term_kind, request.term_article
    if (retyped := _first(entries, "retyped")) is not None:
        # The term it came with is nowhere else: counted as if it had been given, at once, the type it had.
        before, term = retyped["details"]["from"], retyped["details"]["term_before"]
        same = {"from": before, "to": before, "term": term, "term_before": term}
        told.append({"at": request.received_at, "kind": "retyped", "details": same})
        try:
            known = jurisdiction().term(before, request.received_at.astimezone(jurisdiction().zone).date())
            kind, article = known.kind, known.article
        except LookupError:
            article = None
    counted = clocks.answer_deadline(session, request, clocks.history_from(told))
    unit, length = (counted.term.unit, counted.term.n) if counted.term else (None, None)
    return documents.LegalTerm(
        words=term_in_words(unit, length, language),
        kind="typed" if unit is None else "service_commitment" if kind == "service_commitment" else "legal",
        article=article,
        effective_receipt_date=counted.effective_receipt_date,
        due_date=request.first_due_date or counted.due_date or counted.effective_receipt_date,
        days=tuple(words.days(counted, language)),
    )


def _place(request: ServiceRequest) -> str | None:
    area = _name(jurisdiction().area, request.area) if request.area else None
    point = None
    if request.latitude is not None and request.longitude is not None:
        point = f"{request.latitude:.5f}, {request.longitude:.5f}"
    return "\n".join(filter(None, (request.place_address, area, point))) or None


def _priority(request: ServiceRequest, language: Language) -> str | None:
    """Why it goes first; a confidential petitioner's own words are not repeated."""
    why = []
    if request.minor:
        why.append(i18n.text(PACKAGE, "document.receipt.minor", language))
    if request.priority:
        said = None if request.confidential else request.priority_reason
        why.append(said or i18n.text(PACKAGE, "document.receipt.priority_asked", language))
    return "; ".join(why) or None


def _attachments(session: Session, request: ServiceRequest) -> tuple[str, ...]:
    """What was said to come with it, and what was sent with it since."""
    sent = sa.select(Attachment.name).where(
        Attachment.request_id == request.id, Attachment.purpose == "petition", Attachment.public
    )
    names = session.scalars(sent.order_by(Attachment.id)).all()
    came = Counter(map(str.casefold, names))  # telephones give many photos one name
    declared = []
    for name in request.attachments:
        if came[name.casefold()]:
            came[name.casefold()] -= 1
        else:
            declared.append(name)
    return (*declared, *names)
