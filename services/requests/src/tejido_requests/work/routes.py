"""The work of a desk over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from tejido_requests.auth import Officer, Reader
from tejido_requests.db import read, tx
from tejido_requests.desk.routes import found, own, worked
from tejido_requests.models import DeskOfficer, Note
from tejido_requests.search import queries as requests
from tejido_requests.search.schemas import RequestSummary
from tejido_requests.settings import jurisdiction
from tejido_requests.work import queries, schemas, service
from tejido_shared.auth import Principal
from tejido_shared.fields import Line
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound
from tejido_shared.refusals import NotForThem

router = APIRouter(prefix="/v1")


def _check_office(caller: Principal, office: str, *others: Role) -> None:
    """Raises `NotFound` unless it is an office, and the caller's own or one that a role of `others` opens."""
    try:
        jurisdiction().office(office)
    except LookupError:
        raise NotFound from None
    if office not in caller.offices and not caller.has(*others):
        raise NotFound


@router.put("/offices/{office}/officers/{subject}", tags=["work"], summary="Say whether an officer is there")
def set_officer(office: Line, subject: Line, body: schemas.OfficerIn, caller: Officer) -> schemas.OfficerOut:
    """`me` is the caller. Only a head speaks for others, and makes officers known who have not been here yet."""
    _check_office(caller, office)
    subject = caller.subject if subject == "me" else subject
    if subject != caller.subject and not caller.heads(office):
        raise NotForThem("only_heads")
    with tx() as session:
        officer = service.set_officer(session, office, subject, body)
        return _officer(officer, queries.open_loads(session, office))


@router.get("/offices/{office}/officers", tags=["work"], summary="The officers of an office and what they have in hand")
def list_officers(
    office: Line, asked: Annotated[schemas.OfficersQuery, Query()], caller: Reader
) -> Page[schemas.OfficerOut]:
    _check_office(caller, office, Role.AUDITOR)
    with read() as session:
        loads = queries.open_loads(session, office)
        return page_of(
            session,
            queries.officers_of(office),
            asked,
            lambda officer: _officer(officer, loads),
            sort=asked.sort,
            orders={"subject": DeskOfficer.subject},
            key=DeskOfficer.office,
        )


def _officer(officer: DeskOfficer, loads: dict[str, int]) -> schemas.OfficerOut:
    names = ("subject", "office", "present", "away_until", "email")
    return schemas.OfficerOut(
        **{name: getattr(officer, name) for name in names},
        available=queries.is_available(officer),
        open_requests=loads.get(officer.subject, 0),
    )


@router.post("/service-requests/{request_id}/assignment", tags=["work"], summary="Give a request to an officer")
def assign(request_id: UUID, body: schemas.AssignmentIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    return worked(once, caller, request_id, lambda s, request: service.assign(s, request, body.subject, caller.subject))


@router.post("/assignments", tags=["work"], summary="Give many requests to an officer")
def assign_all(body: schemas.BulkAssignmentIn, once: IdempotencyKey, caller: Officer) -> schemas.BulkAssignmentOut:
    """What can be assigned is; the answer says of each what became of it. Those of other offices are not found."""
    with tx() as session:
        return once.run(
            session,
            schemas.BulkAssignmentOut,
            lambda: schemas.BulkAssignmentOut(items=service.assign_all(session, caller, body.ids, body.subject)),
        )


@router.post(
    "/offices/{office}/assignments/balance", tags=["work"], summary="Spread unassigned requests over who is there"
)
def balance(
    office: Line, once: IdempotencyKey, caller: Officer, body: schemas.BalanceIn | None = None
) -> schemas.BalanceOut:
    """The earliest due first, each to whoever has fewest open. 409 if nobody is there."""
    _check_office(caller, office)
    limit = (body or schemas.BalanceIn()).limit
    with tx() as session:
        return once.run(session, schemas.BalanceOut, lambda: service.balance(session, office, limit, caller.subject))


@router.post(
    "/service-requests/{request_id}/notes", status_code=201, tags=["work"], summary="Note something for colleagues"
)
def write_note(request_id: UUID, body: schemas.NoteIn, once: IdempotencyKey, caller: Officer) -> schemas.NoteOut:
    with tx() as session:

        def act() -> schemas.NoteOut:
            request = own(caller, requests.one(session, caller, request_id, lock=True))
            return _note(service.note(session, request, body.text, caller.subject))

        return once.run(session, schemas.NoteOut, act)


@router.get("/service-requests/{request_id}/notes", tags=["work"], summary="What colleagues noted")
def list_notes(
    request_id: UUID, asked: Annotated[schemas.NotesQuery, Query()], caller: Reader
) -> Page[schemas.NoteOut]:
    with read() as session:
        found(requests.one(session, caller, request_id))
        return page_of(
            session, queries.notes_of(request_id), asked, _note, sort=asked.sort, orders={"at": Note.at}, key=Note.id
        )


def _note(note: Note) -> schemas.NoteOut:
    fields: dict[str, Any] = {name: getattr(note, name) for name in schemas.NoteOut.model_fields}
    return schemas.NoteOut(**fields)
