"""Errors as RFC 9457 problem details, with the field and the reason, in the caller's language."""

from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException

from tejido_shared import i18n
from tejido_shared.logs import correlation_id
from tejido_shared.refusals import NotForThem, Refused

PACKAGE = "tejido_shared"
MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger()


class FieldError(BaseModel):
    """One thing wrong with one part of the request."""

    field: str = Field(description="Where: body.petitioner.email, query.limit, header.If-Match …")
    code: str = Field(description="Stable name of the reason")
    reason: str = Field(description="The reason, for a person")


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(description="Stable name of the problem: urn:tejido:problem:<code>")
    title: str
    status: int
    detail: str
    instance: str = Field(description="Path of the request")
    correlation_id: str = Field(description="Quote it when you ask for help")
    errors: list[FieldError] = Field(default_factory=list)


class Problem(Exception):  # noqa: N818 - the RFC's word
    """Ends the request with this problem, whose texts are `problem.<code>.title` and `.detail` in the shared catalogue."""

    def __init__(self, status: int, code: str, *, headers: dict[str, str] | None = None, **params: Any) -> None:
        super().__init__(code)
        self.status, self.code, self.headers, self.params = status, code, headers, params


class NotFound(Problem):
    def __init__(self) -> None:
        super().__init__(404, "not_found")


def _text(package: str, key: str, **params: Any) -> str:
    return i18n.text(package if i18n.knows(package, key) else PACKAGE, key, **params)


def respond(
    request: Request,
    status: int,
    code: str,
    *,
    package: str = PACKAGE,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
    **params: Any,
) -> JSONResponse:
    details = ProblemDetails(
        type=f"urn:tejido:problem:{code}",
        title=_text(package, f"problem.{code}.title", **params),
        status=status,
        detail=_text(package, f"problem.{code}.detail", **params),
        instance=request.url.path,
        correlation_id=correlation_id.get(),
        errors=list(errors),
    )
    return JSONResponse(
        details.model_dump(),
        status,
        headers={**(headers or {}), "Content-Language": i18n.language.get()},
        media_type=MEDIA_TYPE,
    )


def reason(error: dict[str, Any]) -> str:
    """A validation error of Pydantic's in the caller's language; its own English words where the catalogue has none."""
    key = f"validation.{error['type']}"
    if not i18n.knows(PACKAGE, key):
        return str(error["msg"])
    context = {
        name: ", ".join(map(str, v)) if isinstance(v, list | tuple) else v for name, v in error.get("ctx", {}).items()
    }
    if "expected" in context:  # Pydantic joins it in English: 'a', 'b' or 'c'
        context["expected"] = str(context["expected"]).replace(" or ", ", ").replace("'", "")
    return i18n.text(PACKAGE, key, **context)


_STATUS_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


_PLACES = ("body", "query", "path", "header")


def install(app: FastAPI, package: str) -> None:
    """Every error of `app` leaves as a problem. Refusals of use cases have their texts in the catalogue of `package`."""

    @app.exception_handler(Refused)
    async def on_refused(request: Request, refused: Refused) -> JSONResponse:
        """422 when fields are to be corrected, 403 by who asks, 409 when the present state does not admit it."""
        if not refused.fields:
            status = 403 if isinstance(refused, NotForThem) else 409
            return respond(request, status, refused.code, package=package, **refused.params)
        errors = [
            FieldError(
                field=field if field.partition(".")[0] in _PLACES else f"body.{field}",
                code=code,
                reason=_text(package, f"field.{code}", **refused.params),
            )
            for field, code in refused.fields
        ]
        return respond(request, 422, "invalid", errors=errors)

    @app.exception_handler(Problem)
    async def on_problem(request: Request, problem: Problem) -> JSONResponse:
        return respond(request, problem.status, problem.code, headers=problem.headers, **problem.params)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, invalid: RequestValidationError) -> JSONResponse:
        errors = [
            FieldError(field=".".join(str(part) for part in error["loc"]), code=error["type"], reason=reason(error))
            for error in invalid.errors()
        ]
        return respond(request, 422, "invalid", errors=errors)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        return respond(
            request, error.status_code, _STATUS_CODES.get(error.status_code, "http"), headers=dict(error.headers or {})
        )

    @app.exception_handler(StaleDataError)
    async def on_lost_update(request: Request, _: StaleDataError) -> JSONResponse:
        return respond(request, 412, "changed_meanwhile")

    async def on_unavailable(request: Request, error: Exception) -> JSONResponse:
        log.error("database_unavailable", error=type(error).__name__)
        return respond(request, 503, "unavailable", headers={"Retry-After": "5"})

    app.add_exception_handler(OperationalError, on_unavailable)
    app.add_exception_handler(PoolTimeoutError, on_unavailable)
