"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from tejido_registry.db import read
from tejido_registry.models import Organization
from tejido_registry.quality import queries, schemas, service
from tejido_registry.queries import OFFICIALS
from tejido_shared.auth import Principal, require
from tejido_shared.clock import now
from tejido_shared.pages import Page, page_of

router = APIRouter(prefix="/v1", tags=["quality"])

Official = Annotated[Principal, Depends(require(*OFFICIALS))]


@router.get("/quality", summary="How far the register can be trusted, by area and type")
def read_board(_: Official) -> schemas.BoardOut:
    with read() as session:
        return service.board(session)


@router.get(
    "/quality.csv",
    summary="The same as CSV",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}},
)
def read_board_csv(_: Official) -> Response:
    """A line for each area and type, the whole register last; figures by their codes."""
    with read() as session:
        board = service.board(session)
    name = {"Content-Disposition": f'attachment; filename="quality-{service.today(board.at)}.csv"'}
    return Response(service.as_csv(board), media_type="text/csv; charset=utf-8", headers=name)


@router.get("/quality/organizations", summary="The organizations behind a figure")
def list_lines(asked: Annotated[schemas.LinesQuery, Query()], _: Official) -> Page[schemas.LineOut]:
    at = now()
    with read() as session:
        return page_of(
            session,
            queries.lines(asked, at, service.today(at)),
            asked,
            schemas.LineOut.model_validate,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Organization.id,
        )
