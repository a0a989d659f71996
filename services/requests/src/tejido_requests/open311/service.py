"""GeoReport v2 on top of intake: its services are the types that anyone may file, its requests are petitions like any other."""

import math
from datetime import UTC, datetime
from functools import cache
from urllib.parse import urlsplit

from babel.dates import format_date
from sqlalchemy.orm import Session

from tejido_requests.intake import service as intake
from tejido_requests.intake.schemas import Petitioner
from tejido_requests.models import ServiceRequest
from tejido_requests.open311 import schemas
from tejido_requests.open311.formats import MEDIA_TYPES
from tejido_requests.open311.queries import CHANNEL
from tejido_requests.settings import PACKAGE, jurisdiction, settings
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.jurisdiction import RequestType
from tejido_shared.refusals import Refused

SPECIFICATION = "http://wiki.open311.org/GeoReport_v2"
_DATATYPES = {"text": "string", "number": "number", "date": "datetime", "choice": "singlevaluelist"}


def check_jurisdiction(given: str | None) -> None:
    """There is one: it need not be named. It is its code or, as the standard suggests, its website. Raises `Refused`."""
    pack = jurisdiction()
    website = (urlsplit(pack.entity.website).hostname or "").removeprefix("www.")
    if given and given.strip().lower().removeprefix("www.") not in (pack.code, website):
        raise Refused("unknown_jurisdiction", "jurisdiction_id")


def discovery() -> schemas.Discovery:
    entity, changed = jurisdiction().entity, _changed()
    endpoint = schemas.Endpoint(
        specification=SPECIFICATION,
        url=f"{settings().common.public_url.rstrip('/')}/open311/v2",
        changeset=changed,
        type="production",
        formats=list(MEDIA_TYPES.values()),
    )
    contact = f"{entity.name}: {entity.email}, {entity.phone}, {entity.website}"
    key = i18n.text(PACKAGE, "open311.no_key")
    return schemas.Discovery(changeset=changed, contact=contact, key_service=key, endpoints=[endpoint])


@cache
def _changed() -> str:
    """When a file of the jurisdiction pack last changed, and with it perhaps a service."""
    files = settings().common.jurisdiction.rglob("*")
    return datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _offered() -> list[RequestType]:
    """The types that anyone may file and that have a term today."""
    today = now().astimezone(jurisdiction().zone).date()
    return [
        kind
        for kind in jurisdiction().request_types
        if kind.filed_by == "anyone"
        and any(term.valid_from <= today and (term.valid_to is None or today < term.valid_to) for term in kind.terms)
    ]


def _offered_as(code: str | None) -> RequestType:
    """Raises `Refused`."""
    if code is None:
        raise Refused("service_code_missing", "service_code")
    for kind in _offered():
        if kind.code == code:
            return kind
    raise Refused("unknown_service_code", "service_code")


def services() -> list[schemas.Service]:
    return [
        schemas.Service(
            service_code=kind.code,
            service_name=kind.name,
            description=kind.description,
            metadata=bool(kind.fields),
            keywords=", ".join(kind.keywords),
            group=kind.group,
        )
        for kind in _offered()
    ]


def definition(code: str) -> schemas.ServiceDefinition:
    """What a type asks. Nothing is required: a petition is not refused as incomplete (CPACA arts. 15 and 17). Raises `Refused`."""
    return schemas.ServiceDefinition(
        service_code=code,
        attributes=[
            schemas.Attribute(
                code=field.code,
                datatype=_DATATYPES[field.kind],
                datatype_description=field.help or None,
                order=order,
                description=field.name,
                values=[schemas.Value(key=choice, name=choice) for choice in field.choices],
            )
            for order, field in enumerate(_offered_as(code).fields, 1)
        ],
    )


def file(session: Session, form: schemas.RequestForm) -> schemas.Filed:
    """Files a petition. Raises `Refused` for a service nobody offers and for values that cannot be what they say."""
    kind = _offered_as(form.service_code)
    received = intake.file(
        session,
        intake.Filing(
            subject=form.description or kind.name,
            reasons=None,
            petitioner=_petitioner(form),
            attachments=[form.media_url] if form.media_url else [],
            request_type=kind.code,
            organization_id=None,
            project_id=None,
            language=i18n.language.get(),
            channel=CHANNEL,
            verbal=False,
            received_at=None,
            due_date=None,
            filed_by=None,
            received_by=None,
            place=intake.Place(form.address_string, form.address_id, form.lat, form.long),
            answers=_answers(kind, form.attribute),
        ),
    )
    return schemas.Filed(
        service_request_id=received.number, service_notice=_notice(received), tracking_code=received.tracking_code
    )


def _petitioner(form: schemas.RequestForm) -> Petitioner | None:
    """Who gives no name but an e-mail or a telephone is called by it, so that the answer arrives; who gives nothing is anonymous."""
    name = " ".join(filter(None, (form.first_name, form.last_name))) or form.email or form.phone
    if name is None:
        return None
    return Petitioner(name=name[:200], email=form.email, phone=form.phone)


def _answers(kind: RequestType, given: dict[str, str]) -> dict[str, str | float]:
    """The standard sends text: a number is read from it, and of a datetime its day."""
    asked = {field.code: field.kind for field in kind.fields}
    answers: dict[str, str | float] = {}
    for code, value in given.items():
        if asked.get(code) == "number":
            answers[code] = _number(code, value)
        else:
            answers[code] = value.partition("T")[0] if asked.get(code) == "date" else value
    return answers


def _number(code: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Refused("not_a_number", f"answers.{code}")
    return int(number) if number.is_integer() else number


def _notice(request: ServiceRequest) -> str:
    """Until when the law gives an answer, how to follow it, and what of it is published."""
    told = [
        i18n.text(
            PACKAGE,
            f"open311.notice.{request.term_kind}",
            term=intake.term_in_words(request.term_unit, request.term_n),
            article=request.term_article,
            day=format_date(request.due_date, "long", request.language),
        ),
        i18n.text(PACKAGE, "open311.notice.tracking", url=settings().common.tracking_url(request.number)),
    ]
    if request.latitude is not None and not request.confidential:
        told.append(i18n.text(PACKAGE, "open311.notice.published"))
    return " ".join(told)
