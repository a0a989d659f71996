"""HTTP only: parse, call one use case, return the model."""

import hmac
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from sqlalchemy.orm import Session

from tejido_requests import queries, schemas, service
from tejido_requests.db import read, rows, tx
from tejido_requests.models import ServiceRequest
from tejido_requests.settings import jurisdiction
from tejido_shared import i18n
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.clock import now
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1")
PACKAGE = service.PACKAGE

Officer = Annotated[Principal, Depends(require(Role.OFFICER, Role.HEAD))]
Reader = Annotated[Principal, Depends(require(Role.OFFICER, Role.HEAD, Role.AUDITOR))]


@router.get("/request-types", tags=["request types"], summary="What may be filed, and the term of each")
def list_request_types(_: Anybody) -> list[schemas.RequestTypeOut]:
    pack = jurisdiction()
    today = now().astimezone(pack.zone).date()
    found = []
    for kind in pack.request_types:
        try:
            term = pack.term(kind.code, today)
        except LookupError:
            term = None
        found.append(
            schemas.RequestTypeOut(
                code=kind.code,
                name=kind.name,
                description=kind.description,
                office=pack.office_for(kind.code).code,
                term=schemas.TermOut(
                    **term.model_dump(include=set(schemas.TermOut.model_fields)),
                    in_words=service.term_in_words(term.unit, term.n),
                )
                if term
                else None,
            )
        )
    return found


@router.post("/service-requests", status_code=201, tags=["service requests"], summary="File a written request")
def file_written(body: schemas.RequestIn, once: IdempotencyKey, caller: Anybody) -> schemas.ReceiptOut:
    """Anybody may file, with or without an account, with or without a name. The receipt shows the legal due date and its count."""
    staff = caller is not None and caller.has(Role.OFFICER, Role.HEAD)
    if not staff:
        for field in ("channel", "received_at", "due_date"):
            if getattr(body, field) is not None:
                raise Refused("only_officers", field)
    return _file(
        once,
        service.Filing(
            **_filed(body) | {"channel": body.channel or ("counter" if staff else "web")},
            verbal=False,
            filed_by=None if staff or caller is None else caller.subject,
            received_by=caller.subject if staff and caller else None,
        ),
    )


@router.post("/service-requests/verbal", status_code=201, tags=["service requests"], summary="Record a verbal request")
def file_verbal(body: schemas.VerbalRequestIn, once: IdempotencyKey, caller: Officer) -> schemas.ReceiptOut:
    """The record that Decreto 1166/2016 asks of a request made by word of mouth. Needs an address to answer at: e-mail or postal."""
    if not (body.petitioner.email or body.petitioner.address):
        raise Refused("address_needed", "petitioner")
    return _file(
        once,
        service.Filing(
            **_filed(body),
            verbal=True,
            filed_by=None,
            received_by=caller.subject,
        ),
    )


@router.get("/service-requests", tags=["service requests"], summary="The requests of the caller's offices")
def list_requests(asked: Annotated[schemas.RequestQuery, Query()], caller: Reader) -> Page[schemas.RequestSummary]:
    with read() as session:
        return page_of(
            session,
            queries.matching(caller, asked),
            asked,
            _summary,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=ServiceRequest.id,
        )


@router.get("/service-requests/{request_id}", tags=["service requests"], summary="One request")
def read_request(request_id: UUID, caller: Reader, response: Response) -> schemas.RequestOut:
    with read() as session:
        request = _found(queries.one(session, caller, request_id))
        response.headers["ETag"] = etag(request)
        return _whole(session, request)


@router.patch("/service-requests/{request_id}", tags=["service requests"], summary="Hand a request to another office")
def change_request(
    request_id: UUID, body: schemas.RequestPatch, caller: Officer, response: Response, if_match: IfMatch = None
) -> schemas.RequestOut:
    with tx() as session:
        request = _found(queries.one(session, caller, request_id, lock=True))
        check_match(if_match, request)
        service.move_to_office(session, request, body.office, caller.subject)
        response.headers["ETag"] = etag(request)
        return _whole(session, request)


@router.post("/service-requests/{request_id}/answer", tags=["service requests"], summary="Issue the answer")
def answer_request(
    request_id: UUID, body: schemas.AnswerIn, once: IdempotencyKey, caller: Officer
) -> schemas.RequestSummary:
    """The answer is mailed to the petitioner. The legal clock stops when it arrives, with proof, not when it is issued."""
    with tx() as session:

        def act() -> schemas.RequestSummary:
            request = _found(queries.one(session, caller, request_id, lock=True))
            service.answer(session, request, body.text, caller.subject)
            return _summary(request)

        return once.run(session, schemas.RequestSummary, act)


@router.post(
    "/service-requests/{request_id}/notification",
    tags=["service requests"],
    summary="Record by hand that the answer arrived",
)
def record_notification(
    request_id: UUID, body: schemas.NotificationIn, once: IdempotencyKey, caller: Officer
) -> schemas.RequestSummary:
    """For a petitioner without e-mail, or whose mail came back: instant and evidence of the notification."""
    with tx() as session:

        def act() -> schemas.RequestSummary:
            request = _found(queries.one(session, caller, request_id, lock=True))
            service.record_notification(session, request, body.notified_at, body.evidence, caller.subject)
            return _summary(request)

        return once.run(session, schemas.RequestSummary, act)


@router.get("/tracking/{number}", tags=["tracking"], summary="Follow a request with its number and code")
def track(
    number: Annotated[str, Path(max_length=60, pattern=r"^\s*[\w-]+\s*$")],
    _: Anybody,
    code: Annotated[
        str,
        Header(
            alias="Tracking-Code",
            max_length=40,
            description="The code on the receipt. In a header, for addresses end up in logs",
        ),
    ],
) -> schemas.TrackingOut:
    with rows() as connection:
        request = queries.tracked(connection, number.strip().upper())
    # A wrong code and an unknown number look alike, or numbers could be counted out.
    if request is None or not hmac.compare_digest(request.tracking_code.encode(), code.strip().upper().encode()):
        raise NotFound
    return schemas.TrackingOut(
        number=request.number,
        type_name=request.type_name,
        office_name=_office_name(request.office),
        status=request.status,
        clock=_clock(request),
        project=request.project,
        answered_at=request.answered_at,
        answer=request.answer,
        notified_at=request.notified_at,
        history=_history(request.history),
    )


def _file(once: IdempotencyKey, filing: service.Filing) -> schemas.ReceiptOut:
    with tx() as session:

        def act() -> schemas.ReceiptOut:
            request = service.file(session, filing)
            return schemas.ReceiptOut(
                id=request.id,
                number=request.number,
                tracking_code=request.tracking_code,
                request_type=request.request_type,
                type_name=request.type_name,
                office=request.office,
                verbal=request.verbal,
                received_by=request.received_by if request.verbal else None,
                clock=_clock(request),
            )

        return once.run(session, schemas.ReceiptOut, act)


def _filed(body: schemas.RequestIn | schemas.VerbalRequestIn) -> dict[str, Any]:
    """The fields of a filing that both kinds of request have."""
    return {
        "due_date": None,
        **{name: getattr(body, name) for name in service.Filing.__annotations__ if name in type(body).model_fields},
    }


def _found(request: ServiceRequest | None) -> ServiceRequest:
    if request is None:
        raise NotFound
    return request


def _office_name(code: str) -> str:
    """The office's name; its code if the municipality has no such office any more."""
    try:
        return jurisdiction().office(code).name
    except LookupError:
        return code


def _is_overdue(request: ServiceRequest | sa.Row[Any]) -> bool:
    return (request.notified_at or now()) >= request.overdue_at


def _clock(request: ServiceRequest | sa.Row[Any]) -> schemas.ClockOut:
    try:
        counted = service.clock_of(request)
    except LookupError:
        counted = None
    # A calendar or a type that changed since would explain another date than the one in force: then none is explained.
    explains = counted is not None and counted.due_date == request.due_date
    days = service.explained(request.request_type, counted, i18n.language.get()) if counted and explains else []
    return schemas.ClockOut(
        received_at=request.received_at,
        effective_receipt_date=request.effective_receipt_date,
        term=service.term_in_words(request.term_unit, request.term_n),
        article=request.term_article,
        due_date=request.due_date,
        overdue_at=request.overdue_at.astimezone(jurisdiction().zone),
        due_soon_from=request.due_soon_from,
        overdue=_is_overdue(request),
        days=days,
    )


def _history(entries: list[dict[str, Any]]) -> list[schemas.HistoryOut]:
    return [
        schemas.HistoryOut(
            at=entry["at"], kind=entry["kind"], what=i18n.text(PACKAGE, f"history.{entry['kind']}", **entry["details"])
        )
        for entry in entries
    ]


def _summary(request: ServiceRequest) -> schemas.RequestSummary:
    return schemas.RequestSummary(**_summary_fields(request))


def _summary_fields(request: ServiceRequest) -> dict[str, Any]:
    names = schemas.RequestSummary.model_fields.keys() - {"overdue"}
    return {name: getattr(request, name) for name in names} | {"overdue": _is_overdue(request)}


def _whole(session: Session, request: ServiceRequest) -> schemas.RequestOut:
    names = (
        schemas.RequestOut.model_fields.keys()
        - schemas.RequestSummary.model_fields.keys()
        - {"petitioner", "clock", "history"}
    )
    # Constructed, not validated: what was accepted under earlier rules is still shown.
    petitioner = schemas.Petitioner.model_construct(
        **{
            name: getattr(request, f"petitioner_{name}")
            for name in ("name", "identification", "email", "phone", "address")
        },
        representative_name=request.representative_name,
    )
    return schemas.RequestOut(
        **_summary_fields(request),
        **{name: getattr(request, name) for name in names},
        petitioner=petitioner if request.petitioner_name else None,
        clock=_clock(request),
        history=_history(queries.history_of(session, request.id)),
    )
