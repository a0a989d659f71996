"""The page that verifies a certificate in a browser, without an account, cookies or scripts. The QR code of every one leads here."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from tejido_registry.certificates import queries, schemas, views
from tejido_registry.db import tx
from tejido_registry.settings import jurisdiction
from tejido_shared import i18n
from tejido_shared.auth import Anybody

_TEMPLATE = Path(__file__).parent / "template"
_STYLE = (_TEMPLATE / "page.css").read_text("utf-8")
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_CODE: TypeAdapter[str] = TypeAdapter(schemas.Code)


class _Route(APIRoute):
    """What goes wrong is a page too, in plain words."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError:
                return _page("form", 404, code="", wrong=True)
            except Exception as error:  # noqa: BLE001 - raised again if nobody knows it
                return await _trouble(request, error)

        return answer


async def _trouble(request: Request, error: Exception) -> Response:
    """The problem that every other route would answer."""
    handlers = request.app.exception_handlers
    known = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
    if known is None:
        raise error
    answer = await known(request, error)
    kept = {name: answer.headers[name] for name in ("retry-after",) if name in answer.headers}
    return _page("trouble", answer.status_code, kept, title=json.loads(answer.body)["title"])


router = APIRouter(prefix="/constancia", route_class=_Route, include_in_schema=False)


@router.get("")
@router.get("/")
def ask(_: Anybody, code: Annotated[str, Query(max_length=100)] = "") -> Response:
    return show(_, code) if code.strip() else _page("form", code="", wrong=False)


@router.get("/{code}")
def show(_: Anybody, code: str) -> Response:
    try:
        _CODE.validate_python(code)
    except ValidationError:
        return _page("form", 404, code=code[:30], wrong=True)
    with tx() as session:
        found = queries.with_organization(session, code)
        if found is None:
            return _page("form", 404, code=code[:30], wrong=True)
        certificate, organization = found
        shown = views.check(session, certificate, organization)
    speak = views.words()
    said, says = views.in_words(shown.said, speak), views.in_words(shown.today, speak)
    rows = [(speak.say(f"field.{name}"), said[name], says[name]) for name in views.FIELDS]
    return _page("certificate", shown=shown, rows=rows, code=certificate.code)


def _page(kind: str, status: int = 200, headers: dict[str, str] | None = None, **what: Any) -> HTMLResponse:
    pack, language, speak = jurisdiction(), i18n.language.get(), views.words()
    body = (
        _environment()
        .get_template("page.html")
        .render(
            kind=kind,
            language=language,
            entity=pack.entity,
            style=Markup(_STYLE),  # noqa: S704 - ours
            say=lambda code, **params: speak.say(f"page.{code}", **params),
            day=speak.plain_day,
            moment=lambda at: _moment(at, speak),
            spaced=views.spaced,
            **what,
        )
    )
    ours = {
        "Content-Language": language,
        "Content-Security-Policy": _POLICY,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Vary": "Accept-Language",
        "X-Robots-Tag": "noindex",
    }
    return HTMLResponse(body.strip(), status, ours | (headers or {}))


def _moment(at: datetime, speak: views.Words) -> str:
    local = at.astimezone(jurisdiction().zone)
    return f"{speak.plain_day(local.date())}, {local:%H:%M}"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
