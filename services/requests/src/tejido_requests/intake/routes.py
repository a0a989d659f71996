"""Filing over HTTP."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import ValidationError

from tejido_requests.attachments import queries as attachments
from tejido_requests.audit import service as audit
from tejido_requests.auth import Officer
from tejido_requests.clocks import service as clocks
from tejido_requests.clocks import views
from tejido_requests.db import read, tx
from tejido_requests.desk.routes import found, own
from tejido_requests.intake import schemas, service
from tejido_requests.intake.receipts import receipt_pdf
from tejido_requests.search import queries as requests
from tejido_requests.settings import PACKAGE, jurisdiction, settings
from tejido_requests.tracking.routes import Code, Number, check_code
from tejido_shared import i18n, problems
from tejido_shared.auth import Anybody, Principal
from tejido_shared.clock import now
from tejido_shared.files import content_disposition
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.problems import FieldError
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1")

_ONLY_OFFICERS = ("channel", "received_at", "due_date", "missing")
_PDF: dict[int | str, dict[str, Any]] = {200: {"content": {"application/pdf": {}}, "description": "PDF/A-2a, PDF/UA-1"}}


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
                filed_by=kind.filed_by,
                confidential=kind.confidential,
                fields=[asked.model_dump(mode="json") for asked in kind.fields],
                term=schemas.TermOut(
                    **term.model_dump(include=set(schemas.TermOut.model_fields)),
                    in_words=service.term_in_words(term.unit, term.n),
                )
                if term
                else None,
            )
        )
    return found


@router.get("/channels", tags=["request types"], summary="The channels by which requests come in")
def list_channels(_: Anybody) -> list[schemas.CodeOut]:
    return [schemas.CodeOut(code=found.code, name=found.name) for found in jurisdiction().channels if found.active]


@router.get("/areas", tags=["request types"], summary="The areas of the municipality")
def list_areas(_: Anybody) -> list[schemas.CodeOut]:
    return [schemas.CodeOut(code=area.code, name=area.name) for area in jurisdiction().areas]


@router.post("/service-requests", status_code=201, tags=["service requests"], summary="File a written request")
def file_written(body: schemas.RequestIn, once: IdempotencyKey, caller: Anybody) -> schemas.ReceiptOut:
    """Anybody may file, with or without an account, with or without a name. The receipt shows the legal due date and its count."""
    staff = caller is not None and caller.has(Role.OFFICER, Role.HEAD)
    if not staff:
        for field in _ONLY_OFFICERS:
            if getattr(body, field) is not None:
                raise Refused("only_officers", field)
    return _file(
        once,
        service.Filing(
            **filed(body) | {"channel": _channel(body.channel or ("counter" if staff else "web"))},
            verbal=False,
            filed_by=None if staff or caller is None else caller.subject,
            **(_receiver(caller) if staff and caller else {"received_by": None}),
        ),
    )


@router.post("/service-requests/verbal", status_code=201, tags=["service requests"], summary="Record a verbal request")
def file_verbal(body: schemas.VerbalRequestIn, once: IdempotencyKey, caller: Officer) -> schemas.ReceiptOut:
    """The record that Decreto 1166/2016 asks of a request made by word of mouth. Needs an address to answer at: e-mail or postal.

    Who does not wish to be named says so (`anonymous`), and follows the request by its number and code.
    """
    _check_verbal(body)
    return _file(once, service.Filing(**filed(body), verbal=True, filed_by=None, **_receiver(caller)))


@router.post("/service-requests/batch", tags=["service requests"], summary="File what a desk took without connection")
def file_batch(body: schemas.BatchIn, caller: Officer) -> schemas.BatchOut:
    """Each item is filed by itself, in the order of receipt, with its true instant of receipt: its clock runs from then.

    Safe to repeat, in whole or in part, at any time: what was filed under a key of the same desk is not filed again but answered with
    its receipt, and the same key with another content is refused. Numbers are given here: a paper handed out without connection
    cannot carry one.
    """
    desk = _desk(body.desk, caller)
    done: dict[int, schemas.BatchItemOut] = {}
    readable: list[tuple[int, schemas.OfflineWritten | schemas.OfflineVerbal]] = []
    for place, raw in enumerate(body.items):
        try:
            readable.append((place, _item(raw)))
        except ValidationError as invalid:
            done[place] = _unreadable(place, raw, invalid)
    for place, item in sorted(readable, key=lambda of: of[1].received_at):
        try:
            done[place] = _file_item(desk, item, caller)
        except Refused as refused:
            done[place] = _refused(item.key, _errors(place, refused))
    return schemas.BatchOut(items=[done[place] for place in range(len(body.items))])


@router.get(
    "/service-requests/{request_id}/receipt.pdf",
    tags=["service requests"],
    summary="A copy of the receipt",
    response_class=Response,
    responses=_PDF,
)
def print_receipt(request_id: UUID, caller: Officer) -> Response:
    """To be handed to the petitioner: the tracking code is on it, so who took a copy is recorded."""
    with tx() as session:
        request = own(caller, requests.one(session, caller, request_id))
        printed = receipt_pdf(session, request)
        audit.record_access(session, [request.id], caller.subject, "receipt")
    return _pdf(request.number, printed)


@router.get(
    "/tracking/{number}/receipt.pdf",
    tags=["tracking"],
    summary="A copy of one's own receipt",
    response_class=Response,
    responses=_PDF,
)
def print_own_receipt(number: Number, _: Anybody, code: Code) -> Response:
    with read() as session:
        request = attachments.request_of(session, number.strip().upper())
        check_code(request.tracking_code if request else None, code)
        return _pdf(found(request).number, receipt_pdf(session, found(request)))


def _pdf(number: str, printed: bytes) -> Response:
    headers = {"Content-Disposition": content_disposition(f"{number}.pdf")}
    return Response(printed, media_type="application/pdf", headers=headers)


def _receiver(caller: Principal) -> dict[str, Any]:
    """The official who receives it: the record of a verbal request names them (Decreto 1166/2016)."""
    return {"received_by": caller.subject, "received_by_name": caller.name or None}


def _channel(code: str, *, verbal: bool = False) -> str:
    try:
        channel = jurisdiction().channel(code)
    except LookupError:
        raise Refused("unknown_channel", "channel") from None
    if not channel.active:
        raise Refused("unknown_channel", "channel")
    if verbal and not channel.verbal:
        raise Refused("channel_not_verbal", "channel")
    return code


def _check_verbal(body: schemas.VerbalRequestIn) -> None:
    if body.petitioner is None:
        if not body.anonymous:
            raise Refused("petitioner_needed", "petitioner")
    elif body.anonymous:
        raise Refused("anonymous_petitioner", "petitioner")
    elif not (body.petitioner.email or body.petitioner.address):
        raise Refused("address_needed", "petitioner")
    _channel(body.channel, verbal=True)


def _file(once: IdempotencyKey, filing: service.Filing) -> schemas.ReceiptOut:
    with tx() as session:
        return once.run(session, schemas.ReceiptOut, lambda: receipt_of(session, service.file(session, filing)))


def receipt_of(session: Any, request: Any) -> schemas.ReceiptOut:
    """What the petitioner takes away of a request just filed."""
    history = [clocks.History(request.received_at, "received", {}, request.calendar_version)]
    return schemas.ReceiptOut(
        id=request.id,
        number=request.number,
        tracking_code=request.tracking_code,
        request_type=request.request_type,
        type_name=request.type_name,
        office=request.office,
        verbal=request.verbal,
        anonymous=request.anonymous,
        received_by=(request.received_by_name or request.received_by) if request.verbal else None,
        clock=views.clock_out(session, request, history),
        missing_fields=[schemas.CodeOut(code=asked.code, name=asked.name) for asked in service.missing_fields(request)],
        tracking_url=settings().common.tracking_url(request.number),
    )


def filed(body: schemas.RequestIn | schemas.VerbalRequestIn) -> dict[str, Any]:
    """The fields of a filing that both kinds of request have."""
    names = ({*service.Filing.__annotations__} & {*type(body).model_fields}) - {"verbal", "received_by_name"}
    values = {name: getattr(body, name) for name in names}
    place = service.Place(**body.place.model_dump()) if body.place else None
    return {"due_date": None} | values | {"place": place}


def _desk(named: str | None, caller: Principal) -> str:
    """The office under which the keys of a batch were made: two officials of one desk share them."""
    if named is None:
        if len(caller.offices) != 1:
            raise Refused("desk_needed", "desk")
        return next(iter(caller.offices))
    if named not in caller.offices and not caller.has(Role.ADMINISTRATOR):
        raise Refused("not_your_desk", "desk")
    return named


def _item(raw: Any) -> schemas.OfflineWritten | schemas.OfflineVerbal:
    verbal = isinstance(raw, dict) and raw.get("verbal") is True
    return schemas.OfflineVerbal.model_validate(raw) if verbal else schemas.OfflineWritten.model_validate(raw)


def _file_item(
    desk: str, item: schemas.OfflineWritten | schemas.OfflineVerbal, caller: Principal
) -> schemas.BatchItemOut:
    with tx() as session:
        filing = service.Filing(
            **filed(item),
            verbal=item.verbal,
            filed_by=None,
            received_by=caller.subject,
            received_by_name=item.received_by_name or caller.name or None,
            id=service.claim(session, desk, item.key),
        )
        before = service.filed_before(session, filing)
        if before is not None:
            return schemas.BatchItemOut(key=item.key, outcome="repeated", receipt=receipt_of(session, before))
        if isinstance(item, schemas.OfflineVerbal):
            _check_verbal(item)
        else:
            _channel(item.channel)
        request = service.file(session, filing)
        return schemas.BatchItemOut(key=item.key, outcome="filed", receipt=receipt_of(session, request))


def _refused(key: UUID | None, errors: list[FieldError]) -> schemas.BatchItemOut:
    return schemas.BatchItemOut(key=key, outcome="refused", errors=errors)


def _unreadable(place: int, raw: Any, invalid: ValidationError) -> schemas.BatchItemOut:
    try:
        key = UUID(str(raw.get("key"))) if isinstance(raw, dict) else None
    except ValueError:
        key = None
    return _refused(
        key,
        [
            FieldError(
                field=".".join(["body", "items", str(place), *map(str, error["loc"])]),
                code=error["type"],
                reason=problems.reason(dict(error)),
            )
            for error in invalid.errors(include_input=False, include_url=False)
        ],
    )


def _errors(place: int, refused: Refused) -> list[FieldError]:
    return [
        FieldError(
            field=f"body.items.{place}.{field}",
            code=code,
            reason=i18n.text(
                PACKAGE if i18n.knows(PACKAGE, f"field.{code}") else problems.PACKAGE, f"field.{code}", **refused.params
            ),
        )
        for field, code in refused.fields
    ]
