"""The citizen's page: a request followed with its number and code in a browser, without an account, cookies or scripts.

The receipt's QR code and every letter lead here. The code comes in the body of a POST and is in no address, so in no log and no
`Referer`. Nothing that a browser sends by itself opens a request, so a form of another site can do nothing (CSRF): it would have to
know the code.
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from tejido_requests.attachments import routes as documents
from tejido_requests.attachments.service import attach
from tejido_requests.db import read
from tejido_requests.desk import completion
from tejido_requests.documents import Words
from tejido_requests.intake.routes import print_own_receipt
from tejido_requests.models import ServiceRequest
from tejido_requests.settings import PACKAGE, jurisdiction, settings
from tejido_requests.tracking import queries, routes, schemas
from tejido_shared import i18n, problems
from tejido_shared.auth import Anybody
from tejido_shared.files import KINDS, Kept
from tejido_shared.idempotency import Once
from tejido_shared.problems import NotFound, Problem
from tejido_shared.refusals import Refused

FILES_AT_ONCE = 5
"""How many of the largest documents one form may bring."""
_HEAD = 1 << 16
"""Bytes of a form with files within which number and code must have come."""
_NUMBER = re.compile(r"\s*[\w-]{1,60}\s*")
_TEMPLATE = Path(__file__).parent / "template"
_STYLE = (_TEMPLATE / "page.css").read_text("utf-8")
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ACCEPTED = ",".join(sorted(f".{extension}" for extensions in KINDS.values() for extension in extensions))

ActName = Literal["completar", "calificar", "desacuerdo", "desistir"]
Said = dict[str, str]


class _Route(APIRoute):
    """What goes wrong is a page too, in plain words."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except NotFound:
                return _form(request.path_params.get("number", ""), 404, wrong=True)
            except RequestValidationError:  # an address that is none of ours
                return _form(request.path_params.get("number", ""), 404)
            except Exception as error:  # noqa: BLE001 - raised again if nobody knows it
                return await _trouble(request, error)

        return answer


async def _trouble(request: Request, error: Exception) -> Response:
    """The problem that every other route would answer. Whoever loads the page again sends the same once more, and it counts once."""
    handlers = request.app.exception_handlers
    known = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
    if known is None:
        raise error
    answer = await known(request, error)
    problem = json.loads(answer.body)
    kept = {name: answer.headers[name] for name in ("retry-after",) if name in answer.headers}
    return _page("trouble", answer.status_code, kept, title=problem["title"], again=answer.status_code in (429, 503))


router = APIRouter(prefix="/seguimiento", route_class=_Route, include_in_schema=False)


async def _fields(request: Request) -> AsyncIterator[FormData]:
    """The form that was sent, closed at the end. No file is read before the code, which our forms put first, is known to be right."""
    try:
        if request.headers.get("content-type", "").lower().lstrip().startswith("multipart/"):
            fields = await _with_files(request)
        else:
            fields = await request.form(max_files=0, max_fields=20)
    except (ClientDisconnect, MultiPartException):
        raise HTTPException(400) from None
    try:
        yield fields
    finally:
        await fields.close()


async def _with_files(request: Request) -> FormData:
    async def checked() -> AsyncGenerator[bytes, None]:
        known, came = False, 0
        async for chunk in request.stream():
            yield chunk
            came += len(chunk)
            code = dict(parser.items).get("code")
            if not known and isinstance(code, str):
                await run_in_threadpool(_check, request.path_params.get("number", ""), code)
                known = True
            elif not known and came > _HEAD:
                raise HTTPException(400)

    async with aclosing(checked()) as stream:
        most = settings().attachments_per_request
        parser = MultiPartParser(request.headers, stream, max_files=most, max_fields=20)
        return await parser.parse()


def _check(number: str, code: str) -> None:
    with read() as session:
        key = session.execute(queries.key_of(_as_written(number).upper())).one_or_none()
        routes.check_code(key and key.tracking_code, code)


def _as_written(number: str) -> str:
    """A number as a person types it. Raises `NotFound` for what can be none."""
    if not _NUMBER.fullmatch(number):
        raise NotFound
    return number.strip()


Fields = Annotated[FormData, Depends(_fields)]


def _texts(fields: FormData) -> Said:
    """What was typed, with line ends as everywhere else."""
    return {name: said.replace("\r\n", "\n") for name, said in fields.items() if isinstance(said, str)}


# What is asked for


@router.get("")
@router.get("/")
@router.get("/{number}")
@router.get("/{number}/{rest:path}")
def ask(_: Anybody, number: str = "") -> Response:
    return _form(number)


@router.post("")
async def look(_: Anybody, fields: Fields) -> Response:
    said = _texts(fields)
    return await run_in_threadpool(_look, said.get("number", ""), said.get("code", ""))


def _look(number: str, code: str) -> Response:
    try:
        return _show(routes.track(_as_written(number), None, code), code)
    except NotFound:
        return _form(number, 404, code=code, wrong=True)


@router.post("/{number}/constancia")
async def receipt(number: str, _: Anybody, fields: Fields) -> Response:
    number, code = _as_written(number), _texts(fields).get("code", "")
    try:
        return await run_in_threadpool(print_own_receipt, number, None, code)
    except Refused as refused:
        return await run_in_threadpool(_failed, number, code, "documents", refused, {})


@router.post("/{number}/documentos/{attachment_id}")
async def document(number: str, attachment_id: UUID, _: Anybody, fields: Fields, asked: Request) -> Response:
    number, code = _as_written(number), _texts(fields).get("code", "")
    request_id = await run_in_threadpool(documents.tracked, number, None, code)
    try:
        given = await documents.read_as_citizen(request_id, attachment_id, asked)
    except (Refused, Problem) as error:
        return await run_in_threadpool(_failed, number, code, "documents", error, {})
    if given.status_code == 200:
        return given
    lost = Unreadable(given.status_code, json.loads(bytes(given.body))["detail"])
    return await run_in_threadpool(_failed, number, code, "documents", lost, {})


# What is done


@router.post("/{number}/{act}")
async def act(number: str, act: ActName, _: Anybody, fields: Fields, request: Request) -> Response:
    """One act of the citizen. What was typed comes back with what is wrong with it."""
    said = _texts(fields)
    files = [file for file in fields.getlist("files") if isinstance(file, UploadFile) and file.filename]
    return await run_sync(_act, request, _as_written(number), act, said, files, limiter=documents.threads())


def _act(request: Request, number: str, name: ActName, said: Said, files: list[UploadFile]) -> Response:
    code = said.get("code", "")
    kept: list[Kept] = []
    try:
        if name == "completar":
            kept += _keep(files)
        shown = _ACTS[name](_once(request, said, kept), number, said, kept)
    except (ValidationError, Unfit, Refused, Problem) as error:
        for each in kept:
            documents.drop(each.key)
        return _failed(number, code, name, error, said)
    return _show(shown, code, done=name, before=number)


def _once(request: Request, said: Said, kept: list[Kept]) -> Once:
    """By the key that each form carries: a page that is loaded again does nothing twice."""
    same = [request.url.path, sorted(said.items()), [each.sha256 for each in kept]]
    return Once(request, said.get("key") or None, hashlib.sha256(json.dumps(same).encode()).hexdigest())


def _keep(files: list[UploadFile]) -> list[Kept]:
    """All the files in the store, or none. Raises `Unfit` with a reason for each that cannot be taken."""
    kept, unfit = [], []
    try:
        for file in files:
            try:
                kept.append(documents.keep(file))
            except Refused as refused:
                unfit += [f"{file.filename}: {_text(f'field.{code}', **refused.params)}" for _, code in refused.fields]
        if unfit:
            raise Unfit(unfit)
    except (Problem, Unfit):
        for each in kept:
            documents.drop(each.key)
        raise
    return kept


class Unfit(Exception):  # noqa: N818
    """Files that cannot be taken, with the reason of each."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("unfit")
        self.reasons = reasons


class Unreadable(Exception):  # noqa: N818
    """A document that is not given out, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def _complete(once: Once, number: str, said: Said, kept: list[Kept]) -> schemas.TrackingOut:
    body = schemas.CompletionTextIn.model_validate({"text": said.get("text", "")})
    used: set[UUID] = set()

    def run(session: Session, request: ServiceRequest) -> None:
        used.update(attach(session, request, each, "completion", True, None).key for each in kept)
        completion.complete(session, request, body.text, None, None)

    shown = routes.acted(once, number, said.get("code", ""), run)
    for each in kept:
        if each.key not in used:  # there already, or all of this was
            documents.drop(each.key)
    return shown


def _rate(once: Once, number: str, said: Said, _: list[Kept]) -> schemas.TrackingOut:
    body = schemas.RatingIn.model_validate(_filled(said, "stars", "comment"))
    return routes.rate(number, body, once, None, said.get("code", ""))


def _dispute(once: Once, number: str, said: Said, _: list[Kept]) -> schemas.TrackingOut:
    body = schemas.DisputeIn.model_validate({"reasons": said.get("reasons", "")})
    return routes.dispute(number, body, once, None, said.get("code", ""))


def _withdraw(once: Once, number: str, said: Said, _: list[Kept]) -> schemas.TrackingOut:
    body = schemas.CitizenWithdrawalIn.model_validate(_filled(said, "reasons"))
    if not said.get("sure"):
        raise Refused("not_sure", "sure")
    return routes.withdraw(number, body, once, None, said.get("code", ""))


_ACTS: dict[ActName, Callable[[Once, str, Said, list[Kept]], schemas.TrackingOut]] = {
    "completar": _complete,
    "calificar": _rate,
    "desacuerdo": _dispute,
    "desistir": _withdraw,
}


def _filled(said: Said, *names: str) -> Said:
    """What was not left empty."""
    return {name: said[name] for name in names if said.get(name, "").strip()}


def _failed(number: str, code: str, name: str, error: Exception, said: Said) -> Response:
    """The request as it is, what was typed, and why it was not taken. Raises `NotFound` again."""
    if isinstance(error, NotFound):
        raise error
    status, errors, message = 422, {}, None
    match error:
        case ValidationError():
            errors = {str(wrong["loc"][0]): _wrong(dict(wrong)) for wrong in error.errors()}
        case Unfit():
            errors = {"files": "\n".join(error.reasons)}
        case Unreadable():
            status, message = error.status, error.why
        case Refused() if error.fields:
            errors = {field: _text(f"field.{reason}", **error.params) for field, reason in error.fields}
        case Refused():
            status, message = 409, _text(f"problem.{error.code}.detail", **error.params)
        case Problem():
            status, message = error.status, _text(f"problem.{error.code}.detail", **error.params)
    shown = routes.track(number, None, code)
    return _show(shown, code, status, failed=name, said=said, errors=errors, message=message)


def _wrong(error: dict[str, Any]) -> str:
    """What is left empty in a form comes as an empty text: it is missing."""
    return problems.reason(error | {"type": "missing"} if error["type"] == "string_too_short" else error)


def _text(key: str, **params: Any) -> str:
    return i18n.text(PACKAGE if i18n.knows(PACKAGE, key) else problems.PACKAGE, key, **params)


# What is shown


def _form(number: str, status: int = 200, *, code: str = "", wrong: bool = False) -> Response:
    return _page("form", status, number=number.strip()[:60], code=code[:40], wrong=wrong)


def _show(
    shown: schemas.TrackingOut,
    code: str,
    status: int = 200,
    *,
    done: str | None = None,
    before: str = "",
    failed: str | None = None,
    said: Said | None = None,
    errors: dict[str, str] | None = None,
    message: str | None = None,
) -> Response:
    """A request. `done`: the act that was just done, on the request `before`; `failed`: the one that was refused, and why."""
    files = documents.list_as_citizen(documents.tracked(shown.number, None, code))
    return _page(
        "request",
        status,
        shown=shown,
        code=code.strip(),
        files=files,
        done=done,
        before=before.upper(),
        failed=failed,
        said=said or {},
        errors=errors or {},
        message=message,
        key=str(uuid4()),
    )


def _page(kind: str, status: int, headers: dict[str, str] | None = None, **what: Any) -> HTMLResponse:
    pack, language = jurisdiction(), i18n.language.get()
    words = Words("en" if language == "en" else "es", pack.country)
    body = (
        _environment()
        .get_template("page.html")
        .render(
            kind=kind,
            language=language,
            entity=pack.entity,
            data_protection=pack.texts.data_protection,
            largest=settings().largest_attachment,
            together=settings().largest_attachment * FILES_AT_ONCE,
            accepted=_ACCEPTED,
            style=Markup(_STYLE),  # noqa: S704 - ours
            say=lambda code, **params: i18n.text(PACKAGE, f"page.{code}", **params),
            day=words.day,
            short_day=words.short_day,
            moment=lambda at: _moment(at, words),
            size=lambda size: (
                f"{words.number(size / 1e6)} MB" if size >= 1e6 else f"{words.number(-(-size // 1000))} kB"
            ),
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


def _moment(at: datetime, words: Words) -> str:
    local = at.astimezone(jurisdiction().zone)
    return f"{words.plain_day(local.date())}, {local:%H:%M}"


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
