"""Lists over HTTP."""

from collections.abc import Generator
from typing import Annotated
from uuid import UUID

from anyio import CancelScope
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from tejido_requests.auth import Head, Reader
from tejido_requests.db import read, tx
from tejido_requests.models import SavedView, ServiceRequest
from tejido_requests.search import exports, queries, schemas, service, views
from tejido_requests.settings import PACKAGE
from tejido_shared import i18n
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Principal
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, PageQuery, page_of
from tejido_shared.problems import NotFound
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1")

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@router.get("/service-requests", tags=["service requests"], summary="The requests of the caller's offices")
def list_requests(asked: Annotated[schemas.RequestQuery, Query()], caller: Reader) -> Page[schemas.RequestListed]:
    with read() as session:
        return _page(session, caller, asked, asked)


@router.post("/service-requests/search", tags=["service requests"], summary="The same, asked for in the body")
def search_requests(asked: schemas.RequestQuery, caller: Reader) -> Page[schemas.RequestListed]:
    """Here, for officers, the text may be a petitioner's name or identification: addresses end up in logs, bodies do not."""
    with read() as session:
        return _page(session, caller, asked, asked, persons=True)


def _page(
    session: Session, caller: Principal, asked: schemas.ViewQuery, page: PageQuery, *, persons: bool = False
) -> Page[schemas.RequestListed]:
    return page_of(
        session,
        queries.matching(session, caller, asked, persons=persons).options(views.LISTED),
        page,
        views.listed,
        sort=asked.sort,
        orders=queries.SORTABLE,
        key=ServiceRequest.id,
    )


@router.get(
    "/service-requests/counts", tags=["service requests"], summary="How many there are, for a desk's front page"
)
def count_requests(asked: Annotated[schemas.RequestFilter, Query()], caller: Reader) -> schemas.Counts:
    """The filters of the list. Counts open requests if neither `open` nor `status` is asked for."""
    with read() as session:
        return queries.counts(session, caller, asked)


@router.get(
    "/service-requests/export.csv",
    tags=["service requests"],
    summary="The list as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
)
def export_csv(asked: Annotated[schemas.ViewQuery, Query()], caller: Reader) -> StreamingResponse:
    """All that match, with headings in the caller's language and local times. A cell that a spreadsheet would compute begins with '."""
    return _csv(_exported(caller, asked), asked.sort)


@router.get(
    "/service-requests/export.xlsx",
    tags=["service requests"],
    summary="The list as a spreadsheet",
    response_class=StreamingResponse,
    responses={200: {"content": {_XLSX: {}}}},
)
def export_xlsx(asked: Annotated[schemas.ViewQuery, Query()], caller: Reader) -> StreamingResponse:
    """As the CSV; 409 for more rows than a sheet holds."""
    return _xlsx(_exported(caller, asked), asked.sort)


@router.post(
    "/service-requests/export.csv",
    tags=["service requests"],
    summary="The list with personal data as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
)
def export_personal_csv(asked: schemas.ExportQuery, caller: Head) -> StreamingResponse:
    """What was asked and who asks, never of confidential ones. Only for heads, of their own offices; it is recorded with the reason."""
    return _csv(_taken_out(caller, asked), asked.sort, personal=True)


@router.post(
    "/service-requests/export.xlsx",
    tags=["service requests"],
    summary="The list with personal data as a spreadsheet",
    response_class=StreamingResponse,
    responses={200: {"content": {_XLSX: {}}}},
)
def export_personal_xlsx(asked: schemas.ExportQuery, caller: Head) -> StreamingResponse:
    return _xlsx(_taken_out(caller, asked), asked.sort, personal=True)


def _csv(query: queries.Requests, sort: str, *, personal: bool = False) -> StreamingResponse:
    rows = exports.rows_of(query, sort, personal=personal)
    return _file(exports.as_csv(rows, personal=personal), "text/csv; charset=utf-8", "csv")


def _xlsx(query: queries.Requests, sort: str, *, personal: bool = False) -> StreamingResponse:
    rows = exports.rows_of(query, sort, personal=personal)
    return _file(exports.as_xlsx(rows, personal=personal), _XLSX, "xlsx")


def _exported(caller: Principal, asked: schemas.ViewQuery) -> queries.Requests:
    """The query is made here and read elsewhere: the reading lasts, and must not hold the calendar."""
    with tx() as session:
        return queries.matching(session, caller, asked)


def _taken_out(caller: Principal, asked: schemas.ExportQuery) -> queries.Requests:
    """The same, of the offices whose head the caller is, once it is on record who takes what out and why."""
    with tx() as session:
        query = queries.matching(session, caller, asked, persons=True)
        service.record_export(session, caller, asked)
        if Role.ADMINISTRATOR not in caller.roles:
            query = query.where(ServiceRequest.office.in_(caller.headed))  # not of offices they only work in
    return query


class _Streamed(StreamingResponse):
    """Ends what makes the pieces when the caller hangs up, and with it the database session in there."""

    def __init__(self, pieces: Generator[bytes, None, None], media_type: str, headers: dict[str, str]) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await run_sync(self._pieces.close)


def _file(content: Generator[bytes, None, None], media_type: str, ending: str) -> StreamingResponse:
    name = f"{i18n.text(PACKAGE, 'export.file')}-{queries.today()}.{ending}"
    return _Streamed(content, media_type, {"Content-Disposition": f'attachment; filename="{name}"'})


# --- Saved views -------------------------------------------------------------------------------------------------------------


@router.post("/views", status_code=201, tags=["saved views"], summary="Keep a search")
def save_view(body: schemas.ViewIn, once: IdempotencyKey, caller: Reader) -> schemas.ViewOut:
    """The caller's own, or also for the colleagues of an office. `me` in it is whoever uses it."""
    with tx() as session:
        return once.run(
            session,
            schemas.ViewOut,
            lambda: _view(service.save_view(session, caller, body.name, body.office, body.query)),
        )


@router.get("/views", tags=["saved views"], summary="The caller's saved views and those of the caller's offices")
def list_views(asked: Annotated[schemas.ViewsQuery, Query()], caller: Reader) -> Page[schemas.ViewOut]:
    with read() as session:
        return page_of(
            session,
            queries.views_of(caller),
            asked,
            _view,
            sort=asked.sort,
            orders={"name": SavedView.name},
            key=SavedView.id,
        )


@router.get("/views/{view_id}", tags=["saved views"], summary="One saved view")
def read_view(view_id: UUID, caller: Reader, response: Response) -> schemas.ViewOut:
    with read() as session:
        view = _found(session, caller, view_id)
        response.headers["ETag"] = etag(view)
        return _view(view)


@router.patch("/views/{view_id}", tags=["saved views"], summary="Change a saved view")
def change_view(
    view_id: UUID, body: schemas.ViewPatch, caller: Reader, response: Response, if_match: IfMatch = None
) -> schemas.ViewOut:
    """Whoever made it, or a head of the office it is shared with."""
    # A name or a query cannot be taken away, an office can.
    changes = {
        name: getattr(body, name)
        for name in body.model_fields_set
        if name == "office" or getattr(body, name) is not None
    }
    with tx() as session:
        view = _found(session, caller, view_id)
        check_match(if_match, view)
        service.change_view(session, caller, view, changes)
        response.headers["ETag"] = etag(view)
        return _view(view)


@router.delete("/views/{view_id}", status_code=204, tags=["saved views"], summary="Forget a saved view")
def forget_view(view_id: UUID, caller: Reader, if_match: IfMatch = None) -> None:
    with tx() as session:
        view = _found(session, caller, view_id)
        check_match(if_match, view)
        service.check_may_change(caller, view)
        session.delete(view)


@router.get("/views/{view_id}/requests", tags=["saved views"], summary="What a saved view shows the caller")
def list_requests_of_view(
    view_id: UUID, asked: Annotated[PageQuery, Query()], caller: Reader
) -> Page[schemas.RequestListed]:
    """Runs as the caller: a view shows nobody what they could not see without it."""
    with read() as session:
        return _page(session, caller, service.query_of(_found(session, caller, view_id)), asked, persons=True)


def _found(session: Session, caller: Principal, view_id: UUID) -> SavedView:
    view = session.scalar(queries.views_of(caller).where(SavedView.id == view_id))
    if view is None:
        raise NotFound
    return view


def _view(view: SavedView) -> schemas.ViewOut:
    names = ("id", "version", "owner", "name", "office")
    try:
        query = service.query_of(view)
    except Refused:
        query = None  # the list of views is not to break over one
    return schemas.ViewOut(**{name: getattr(view, name) for name in names}, query=query)
