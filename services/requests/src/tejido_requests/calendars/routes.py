"""The calendar over HTTP.

Whoever supervises the desk keeps the calendar, and the administrator: `Role.SUPERVISOR` and `Role.ADMINISTRATOR` (who has every role)
declare and withdraw closures, decide on proposals and confirm years. What is closed is public.
"""

from datetime import date, timedelta
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from tejido_requests.calendars import ical, proposals, queries, schemas, service
from tejido_requests.db import read, tx
from tejido_requests.models import CalendarChange, CalendarVersion, ClosureProposal, ClosureRecord, ConfirmedYear
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_shared import i18n
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.clock import now
from tejido_shared.deadlines import FIRST, LAST
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, PageQuery, page_of
from tejido_shared.problems import NotFound
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1/calendar", tags=["calendar"])

Keeper = Annotated[Principal, Depends(require(Role.SUPERVISOR))]
Reader = Annotated[Principal, Depends(require(Role.SUPERVISOR, Role.AUDITOR))]
Staff = Annotated[Principal, Depends(require(Role.OFFICER, Role.HEAD, Role.SUPERVISOR, Role.AUDITOR))]
AHEAD = timedelta(days=90)


def _version(number: int | None) -> int:
    """The version asked for, else the one in force. Raises `Refused` for one there is not."""
    with tx() as session:
        newest = service.in_force(session)
    if number is not None and number > newest:
        raise Refused("unknown_version", "query.version")
    return number or newest


@router.get("/closures", summary="The closures of a version of the calendar")
def list_closures(asked: Annotated[schemas.ClosureQuery, Query()], _: Anybody) -> Page[schemas.ClosureOut]:
    query = sa.select(ClosureRecord).where(queries.in_version(_version(asked.version)))
    if asked.from_day is not None:
        query = query.where(ClosureRecord.ends_on >= asked.from_day)
    if asked.to_day is not None:
        query = query.where(ClosureRecord.starts_on <= asked.to_day)
    if asked.scope is not None:
        query = query.where(ClosureRecord.scope == asked.scope)
    return _page(query, asked, schemas.ClosureOut, "starts_on", ClosureRecord)


def _page(query: sa.Select[Any], asked: PageQuery, shape: Any, sort: str, model: Any, key: str = "id") -> Page[Any]:
    with read() as session:
        orders = {sort.removeprefix("-"): getattr(model, sort.removeprefix("-"))}
        return page_of(session, query, asked, shape.model_validate, sort=sort, orders=orders, key=getattr(model, key))


@router.get("/versions", summary="The versions of the calendar, the newest first")
def list_versions(asked: Annotated[PageQuery, Query()], _: Staff) -> Page[schemas.VersionOut]:
    return _page(sa.select(CalendarVersion), asked, schemas.VersionOut, "-number", CalendarVersion, "at")


@router.get("/days/{day}", summary="Whether a day counts, and why not")
def read_day(
    day: date,
    _: Anybody,
    request_type: Annotated[str | None, Query(alias="type", description="Some closures except some types")] = None,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> schemas.DayOut:
    pack = jurisdiction()
    if not FIRST <= day <= LAST:
        raise Refused("out_of_calendar", "path.day")
    if request_type is not None and request_type not in {kind.code for kind in pack.request_types}:
        raise Refused("unknown_request_type", "query.type")
    number = _version(version)
    with read() as session:
        closures = [found for found in queries.closures(session, number) if found.starts_on <= day <= found.ends_on]
        warned = queries.unconfirmed(session, [day.year])
    works = pack.counting.weekdays[day.weekday()] == "1"
    by = [
        schemas.ClosedBy(
            **found.model_dump(include={"name", "act", "scope", "suspends_terms"}),
            applies=found.suspends_terms and request_type not in found.except_types,
        )
        for found in closures
    ]
    names = "; ".join(f"{found.name} ({found.act})" for found in by if found.applies)
    why = "closed" if names else "open" if works else "weekend"
    return schemas.DayOut(
        day=day,
        request_type=request_type,
        version=number,
        open=works and not names,
        why=i18n.text(PACKAGE, f"calendar.day.{why}", closures=names),
        works=works,
        open_for_filing=all(found.open_for_filing for found in closures),
        closures=by,
        warnings=["year_not_confirmed"] if warned else [],
    )


@router.get("/warnings", summary="What must be known of the next 90 days")
def list_warnings(_: Staff) -> list[schemas.WarningOut]:
    today = now().astimezone(jurisdiction().zone).date()
    _version(None)
    with read() as session:
        years = queries.unconfirmed(session, {today.year, (today + AHEAD).year})
    if not years:
        return []
    text = queries.not_confirmed(years)
    return [schemas.WarningOut(code="year_not_confirmed", text=text, years=years)]


@router.get("/years", summary="The years whose closures are said to be complete")
def list_years(_: Anybody) -> list[schemas.YearOut]:
    _version(None)
    with read() as session:
        rows = session.scalars(sa.select(ConfirmedYear).order_by(ConfirmedYear.year))
        return [schemas.YearOut.model_validate(row) for row in rows]


@router.post("/years/{year}/confirm", summary="Say that the closures of a year are complete")
def confirm_year(year: int, once: IdempotencyKey, caller: Keeper) -> schemas.YearOut:
    with tx() as session:
        return once.run(
            session,
            schemas.YearOut,
            lambda: schemas.YearOut.model_validate(service.confirm_year(session, year, caller.subject)),
        )


# Changes


def _change(session: Session, change_id: UUID) -> CalendarChange:
    found = session.scalar(sa.select(CalendarChange).where(CalendarChange.id == change_id).with_for_update())
    if found is None:
        raise NotFound
    return found


@router.post("/changes", status_code=201, summary="Draft a change and see what it would move")
def draft_change(body: schemas.ChangeIn, once: IdempotencyKey, caller: Keeper, response: Response) -> schemas.ChangeOut:
    """Nothing changes yet: the answer shows how many open requests would move, and by how much."""
    with tx() as session:

        def run() -> schemas.ChangeOut:
            declare = [
                service.closure_from(closure.model_dump(), f"declare.{place}.")
                for place, closure in enumerate(body.declare)
            ]
            change = service.draft(
                session, caller.subject, declare, [(gone.closure, gone.act) for gone in body.withdraw]
            )
            response.headers["ETag"] = etag(change)
            return schemas.ChangeOut.model_validate(change)

        return once.run(session, schemas.ChangeOut, run)


@router.get("/changes", summary="Changes, the newest first")
def list_changes(asked: Annotated[schemas.ChangeQuery, Query()], _: Reader) -> Page[schemas.ChangeOut]:
    query = sa.select(CalendarChange)
    if asked.status is not None:
        query = query.where(CalendarChange.status == asked.status)
    return _page(query, asked, schemas.ChangeOut, "-created_at", CalendarChange)


@router.get("/changes/{change_id}", summary="A change, and how far the re-dating has come")
def read_change(change_id: UUID, _: Reader, response: Response) -> schemas.ChangeOut:
    with read() as session:
        change = session.get(CalendarChange, change_id)
        if change is None:
            raise NotFound
        response.headers["ETag"] = etag(change)
        return schemas.ChangeOut.model_validate(change)


@router.post("/changes/{change_id}/preview", summary="See anew what a draft would move")
def preview_change(change_id: UUID, caller: Keeper, response: Response) -> schemas.ChangeOut:
    """On the version that is now in force, and the requests that are now open."""
    with tx() as session:
        change = _change(session, change_id)
        service.look_ahead(session, change, caller.subject)
        session.flush()
        response.headers["ETag"] = etag(change)
        return schemas.ChangeOut.model_validate(change)


@router.post("/changes/{change_id}/confirm", summary="Make a draft the calendar in force and re-date what it moves")
def confirm_change(
    change_id: UUID,
    body: schemas.Confirmation,
    once: IdempotencyKey,
    caller: Keeper,
    response: Response,
    if_match: IfMatch = None,
) -> schemas.ChangeOut:
    """From here on every date is counted with it; the requests that are open are re-dated in the background, see `seen` and `moved`.

    Refused if the preview is no longer of what the draft holds and of the version in force. Whoever did not ask for that preview says
    with `If-Match` what was read.
    """
    with tx() as session:

        def run() -> schemas.ChangeOut:
            change = _change(session, change_id)
            if if_match is not None or not service.was_shown(change, caller.subject):
                check_match(if_match, change)
            service.confirm(session, change, caller.subject, body.note)
            response.headers["ETag"] = etag(change)
            return schemas.ChangeOut.model_validate(change)

        return once.run(session, schemas.ChangeOut, run)


@router.post("/changes/{change_id}/drop", summary="Give a draft up")
def drop_change(change_id: UUID, once: IdempotencyKey, caller: Keeper) -> schemas.ChangeOut:  # noqa: ARG001
    with tx() as session:

        def run() -> schemas.ChangeOut:
            change = _change(session, change_id)
            service.drop(session, change)
            return schemas.ChangeOut.model_validate(change)

        return once.run(session, schemas.ChangeOut, run)


# Proposals


@router.post("/proposals", status_code=201, summary="Propose what a library knows of a year")
def make_proposals(body: schemas.ProposalsIn, once: IdempotencyKey, caller: Keeper) -> schemas.ProposalsOut:  # noqa: ARG001
    """Only what the calendar in force lacks, and what is in force that the library lacks. Nothing is closed by it."""
    with tx() as session:

        def run() -> schemas.ProposalsOut:
            lacking = proposals.from_library(session, body.year, body.subdivision)
            pending = sa.select(ClosureProposal).where(
                ClosureProposal.year == body.year, ClosureProposal.status == "pending"
            )
            return schemas.ProposalsOut(
                pending=[
                    schemas.ProposalOut.model_validate(row)
                    for row in session.scalars(pending.order_by(ClosureProposal.starts_on, ClosureProposal.source))
                ],
                not_in_library=[schemas.ClosureOut.model_validate(row) for row in lacking],
            )

        return once.run(session, schemas.ProposalsOut, run)


@router.get("/proposals", summary="Proposed closures and what was decided")
def list_proposals(asked: Annotated[schemas.ProposalQuery, Query()], _: Reader) -> Page[schemas.ProposalOut]:
    query = sa.select(ClosureProposal)
    for column in ("year", "status", "source"):
        wanted = getattr(asked, column)
        if wanted is not None:
            query = query.where(getattr(ClosureProposal, column) == wanted)
    return _page(query, asked, schemas.ProposalOut, "starts_on", ClosureProposal)


@router.post("/proposals/{proposal_id}/accept", summary="Put a proposed closure into a draft")
def accept_proposal(
    proposal_id: UUID, body: schemas.AcceptIn, once: IdempotencyKey, caller: Keeper
) -> schemas.ChangeOut:
    """With what only the official publication says: the act, and whether it suspends terms. The preview of a draft there was is to be
    asked for anew.
    """
    with tx() as session:

        def run() -> schemas.ChangeOut:
            change = _change(session, body.change) if body.change is not None else None
            proposal = _proposal(session, proposal_id)
            closure = service.closure_from(
                body.model_dump(exclude={"change", "name", "scope"})
                | {"starts_on": proposal.starts_on, "ends_on": proposal.ends_on}
                | {"name": body.name or proposal.name, "scope": body.scope or proposal.scope}
            )
            return schemas.ChangeOut.model_validate(
                proposals.accept(session, proposal, closure, caller.subject, change)
            )

        return once.run(session, schemas.ChangeOut, run)


@router.post("/proposals/{proposal_id}/reject", summary="Reject a proposed closure, with the reason")
def reject_proposal(
    proposal_id: UUID, body: schemas.RejectIn, once: IdempotencyKey, caller: Keeper
) -> schemas.ProposalOut:
    with tx() as session:

        def run() -> schemas.ProposalOut:
            proposal = _proposal(session, proposal_id)
            proposals.reject(session, proposal, caller.subject, body.reason)
            return schemas.ProposalOut.model_validate(proposal)

        return once.run(session, schemas.ProposalOut, run)


def _proposal(session: Session, proposal_id: UUID) -> ClosureProposal:
    found = proposals.one(session, proposal_id)
    if found is None:
        raise NotFound
    return found


# iCalendar


async def _file(request: Request) -> bytes:
    """The file as the body itself or as the part `file` of a form."""
    data = await request.body()  # read whole first: whoever looks for a repetition hashes it too
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form() as form:
            part = form.get("file")
            data = await part.read() if isinstance(part, UploadFile) else b""
    if not data.strip():
        raise Refused("ics_empty", "file")
    return data


_FILE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            ical.MEDIA_TYPE: {"schema": {"type": "string"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


@router.post("/import", summary="Propose the events of an iCalendar file", openapi_extra=_FILE_BODY)
def import_calendar(
    caller: Keeper,  # noqa: ARG001
    data: Annotated[bytes, Depends(_file)],
    once: IdempotencyKey,
) -> schemas.ImportOut:
    """Each event becomes a proposal, each occurrence of one that repeats too. A file with a fault is refused whole, with its line."""
    with tx() as session:

        def run() -> schemas.ImportOut:
            lines = ical.read(data)
            return schemas.ImportOut(read=len(lines), proposed=proposals.propose(session, proposals.ICALENDAR, lines))

        return once.run(session, schemas.ImportOut, run)


@router.get(
    ".ics",
    summary="The calendar for other programs",
    response_class=Response,
    responses={200: {"content": {ical.MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
def export_calendar(_: Anybody, version: Annotated[int | None, Query(ge=1)] = None) -> Response:
    number = _version(version)
    with read() as session:
        found = session.get_one(CalendarVersion, number)
        rows = session.scalars(
            sa.select(ClosureRecord)
            .where(queries.in_version(number))
            .order_by(ClosureRecord.starts_on, ClosureRecord.id)
        )
        text = ical.written(found, rows, i18n.language.get())
    return Response(text, media_type=f"{ical.MEDIA_TYPE}; charset=utf-8")
