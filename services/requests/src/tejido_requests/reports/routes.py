"""Figures, the periodic report and open data over HTTP."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from tejido_requests.reports import opendata, papers, schemas, service
from tejido_shared import i18n
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.jurisdiction import Role

router = APIRouter(prefix="/v1")

Reader = Annotated[Principal, Depends(require(Role.OFFICER, Role.HEAD, Role.SUPERVISOR, Role.AUDITOR))]
_KEEP = {"Cache-Control": f"public, max-age={opendata.FRESH_SECONDS}"}


@router.get("/reports/figures", tags=["reports"], summary="Figures of a period")
def read_figures(asked: Annotated[schemas.FiguresQuery, Query()], caller: Reader) -> schemas.FiguresOut:
    """Of the caller's offices; supervisors and auditors: of all. A past period has the figures it had when it ended, but for acts
    recorded since that took effect in it."""
    return service.figures(caller, asked)


@router.get(
    "/reports/figures.csv",
    tags=["reports"],
    summary="Figures of a period as CSV",
    response_class=Response,
    responses={200: {"content": {"text/csv": {}}}},
)
def read_figures_csv(asked: Annotated[schemas.FiguresQuery, Query()], caller: Reader) -> Response:
    """As the JSON; the last line is the total, with * for what it is not grouped by."""
    return _file(papers.figures_csv(service.figures(caller, asked)), "text/csv; charset=utf-8", f"{_name(asked)}.csv")


@router.get("/reports/pqrsd", tags=["reports"], summary="The periodic report as data")
def read_pqrsd(asked: Annotated[schemas.PeriodQuery, Query()], caller: Reader) -> schemas.PqrsdOut:
    return service.pqrsd(caller, asked)


@router.get(
    "/reports/pqrsd.pdf",
    tags=["reports"],
    summary="The periodic report as PDF",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
def read_pqrsd_pdf(asked: Annotated[schemas.PeriodQuery, Query()], caller: Reader) -> Response:
    language: Literal["es", "en"] = "en" if i18n.language.get() == "en" else "es"
    return _file(papers.pdf(service.pqrsd(caller, asked), language), "application/pdf", f"pqrsd-{_name(asked)}.pdf")


def _name(asked: schemas.PeriodQuery) -> str:
    return f"{asked.start}-{asked.end}"


def _file(content: bytes, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@router.get(
    "/open-data/requests.csv",
    tags=["open data"],
    summary="The requests received in a year, without persons",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}},
)
def read_open_requests(asked: Annotated[schemas.YearQuery, Query()], _: Anybody) -> StreamingResponse:
    """In no telling order, as they stood within the last hour. The dictionary explains columns and codes."""
    file = opendata.REQUESTS.of(asked.year)
    name = {"Content-Disposition": f'attachment; filename="{asked.year}.csv"'}
    return StreamingResponse(opendata.stream(file), media_type="text/csv; charset=utf-8", headers=_KEEP | name)


@router.get("/open-data/figures.json", tags=["open data"], summary="Figures of the requests received in a year")
def read_open_figures(
    asked: Annotated[schemas.YearQuery, Query()], _: Anybody, response: Response
) -> schemas.OpenFiguresOut:
    """As they stood at the end of the year; in the current year, within the last hour."""
    response.headers.update(_KEEP | {"Vary": "Accept-Language"})
    return opendata.figures(asked.year)


@router.get("/open-data/dictionary", tags=["open data"], summary="What the open data mean")
def read_dictionary(_: Anybody, response: Response) -> schemas.DictionaryOut:
    response.headers.update(_KEEP | {"Vary": "Accept-Language"})
    return opendata.dictionary()
