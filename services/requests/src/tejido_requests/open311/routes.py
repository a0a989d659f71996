"""GeoReport v2 over HTTP: see docs/open311.md. Not in the OpenAPI document, for the standard is its own."""

import json
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tejido_requests.db import rows, tx
from tejido_requests.open311 import queries, schemas, service, views
from tejido_requests.open311.formats import Format, written
from tejido_requests.settings import PACKAGE
from tejido_shared import i18n
from tejido_shared.auth import Anybody
from tejido_shared.fields import Line
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.problems import NotFound
from tejido_shared.refusals import Refused

Shape = TypeVar("Shape", bound=BaseModel)
_FORM = "application/x-www-form-urlencoded"
_ATTRIBUTE = re.compile(r"attribute\[([^\[\]]+)\](?:\[\])?")
_NOT_FOUND = ("unknown_service_code", "unknown_jurisdiction", "no_tokens")
_NAMES = {
    "place.latitude": "lat",
    "place.longitude": "long",
    "place.area": "address_id",
    "request_type": "service_code",
    "subject": "description",
}


class Error(BaseModel):
    code: int
    description: str


class _Route(APIRoute):
    """Errors leave in the standard's form, and a page of any origin may read every answer: nothing here is shown by cookie."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response = await handle(request)
            except Exception as error:  # noqa: BLE001 - raised again if nobody knows it
                response = await _errors(request, error)
            response.headers["Access-Control-Allow-Origin"] = "*"
            return response

        return answer


async def _errors(request: Request, error: Exception) -> Response:
    """The problem that every other route would answer, in the standard's form: 400 for what is wrong with a question."""
    handlers = request.app.exception_handlers
    known = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
    if known is None:
        raise error
    answer = await known(request, error)
    problem = json.loads(answer.body)
    status = 400 if answer.status_code in (409, 422) else answer.status_code
    if any(wrong["code"] in _NOT_FOUND for wrong in problem["errors"]):
        status = 404
    if answer.status_code == 415:
        problem["detail"] = i18n.text(PACKAGE, "open311.form_needed")
    told = [f"{_name(wrong['field'])}: {wrong['reason']}" for wrong in problem["errors"]] or [problem["detail"]]
    kept = {name: answer.headers[name] for name in ("retry-after", "content-language") if name in answer.headers}
    return written(
        "json" if request.url.path.endswith(".json") else "xml",
        "errors",
        [Error(code=status, description=description) for description in told],
        status,
        headers=kept,
    )


def _name(field: str) -> str:
    """What the standard calls a field."""
    _, _, name = field.partition(".")
    if name.startswith(("answers.", "attribute.")):
        return f"attribute[{name.partition('.')[2]}]"
    return _NAMES.get(name, name)


def _shaped(shape: type[Shape], given: dict[str, Any], place: str) -> Shape:
    try:
        return shape.model_validate(given)
    except ValidationError as invalid:
        raise RequestValidationError(
            [{**error, "loc": (place, *error["loc"])} for error in invalid.errors(include_input=False)]
        ) from None


async def _form(request: Request) -> schemas.RequestForm:
    """The form, read after it is known who calls. A name that comes twice has its last value."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise HTTPException(415)
    try:
        fields = parse_qsl((await request.body()).decode(), errors="strict", max_num_fields=200)
    except (ClientDisconnect, ValueError):
        raise HTTPException(400) from None
    given: dict[str, Any] = {"jurisdiction_id": request.query_params.get("jurisdiction_id") or None}
    given |= {name: value for name, value in fields if value.strip() and name != "attribute"}
    asked = {found[1]: value for name, value in fields if value.strip() and (found := _ATTRIBUTE.fullmatch(name))}
    return _shaped(schemas.RequestForm, given | {"attribute": asked}, "body")


def _query(request: Request) -> schemas.RequestQuery:
    """A name that comes twice is a list, as one with commas is."""
    given = {name: ",".join(request.query_params.getlist(name)) for name in request.query_params}
    return _shaped(schemas.RequestQuery, given, "query")


def _jurisdiction(jurisdiction_id: str | None = None) -> None:
    service.check_jurisdiction(jurisdiction_id)


router = APIRouter(prefix="/open311", route_class=_Route, include_in_schema=False)
Form = Annotated[schemas.RequestForm, Depends(_form)]
Query = Annotated[schemas.RequestQuery, Depends(_query)]
Named = Annotated[None, Depends(_jurisdiction)]
"""The jurisdiction, if it is named."""


@router.get("/discovery.{how}")
def discover(how: Format, _: Anybody) -> Response:
    return written(how, "discovery", service.discovery())


@router.get("/v2/services.{how}")
def list_services(how: Format, _: Anybody, __: Named) -> Response:
    return written(how, "services", service.services())


@router.get("/v2/services/{code}.{how}")
def define_service(code: str, how: Format, _: Anybody, __: Named) -> Response:
    return written(how, "service_definition", service.definition(code))


@router.post("/v2/requests.{how}")
def file_request(how: Format, _: Anybody, once: IdempotencyKey, form: Form) -> Response:
    """Without a key: to petition is anybody's right, also without a name. Who has no account is rate-limited."""
    service.check_jurisdiction(form.jurisdiction_id)
    with tx() as session:
        filed = once.run(session, schemas.Filed, lambda: service.file(session, form))
    return written(how, "service_requests", [filed], 201)


@router.get("/v2/requests.{how}")
def list_requests(how: Format, _: Anybody, asked: Query) -> Response:
    service.check_jurisdiction(asked.jurisdiction_id)
    return _requests(how, asked)


@router.get("/v2/requests/{number}.{how}")
def show_request(number: Annotated[Line, Path()], how: Format, _: Anybody, asked: Query) -> Response:
    """One that is not published and one that is not there look alike."""
    service.check_jurisdiction(asked.jurisdiction_id)
    one = schemas.RequestQuery.model_construct(service_request_id=[number], extensions=asked.extensions)
    return _requests(how, one, needed=True)


def _requests(how: Format, asked: schemas.RequestQuery, *, needed: bool = False) -> Response:
    with rows() as connection:
        found = queries.published(connection, asked)
    if needed and not found:
        raise NotFound
    leave_out = None if asked.extensions else {"extended_attributes"}
    return written(how, "service_requests", [views.request_out(row) for row in found], leave_out=leave_out)


@router.get("/v2/tokens/{token}.{how}")
def show_token(token: str, how: Format, _: Anybody) -> Response:  # noqa: ARG001
    """There are none: every service is `realtime`."""
    raise Refused("no_tokens", "token")
