"""The HTTP side that is the same in every service: one function makes the application, with its conventions in it."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Protocol
from uuid import UUID

import anyio.to_thread
import sqlalchemy as sa
import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from opentelemetry.trace import SpanKind
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector
from pydantic import AwareDatetime, BaseModel
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tejido_shared import i18n, logs, problems, telemetry
from tejido_shared.auth import Principal, RateLimit, Verifier, guards_of, require
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import Jurisdiction, Role
from tejido_shared.problems import Problem, ProblemDetails
from tejido_shared.seam import dead_letter, outbox
from tejido_shared.settings import ServiceSettings

log = structlog.get_logger()
QUIET = ("/health/live", "/health/ready", "/metrics")
PUBLIC_PATHS = (*QUIET, "/v1/openapi.json")
"""What needs no token and no rate limit. The gateway does not pass /metrics on."""


def create_api(
    service: str,
    *,
    title: str,
    description: str,
    version: str,
    routers: Sequence[APIRouter],
    settings: ServiceSettings,
    database: Database,
    jurisdiction: Jurisdiction,
    largest_body: int = 1_000_000,
    larger: Mapping[str, int] | None = None,
    collectors: Sequence[Collector] = (),
) -> FastAPI:
    """The FastAPI application of a service. A body of more than `largest_body` bytes is refused before it is read.

    `larger`: what paths that end in a key take instead. `collectors`: the service's own metrics.
    """
    logs.configure(service, "api", settings.common.log_level)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.database_pool
        telemetry.configure(service, "api", settings.common)
        yield
        database.close()

    app = FastAPI(
        title=title,
        description=description,
        version=version,
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from other people's servers
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        separate_input_output_schemas=False,
    )
    app.state.verifier = Verifier(settings.common, jurisdiction.roles)
    app.state.rate_limit = RateLimit(settings.common.rate_limit)
    problems.install(app, f"tejido_{service}")
    for router in routers:
        app.include_router(router)
    metrics = _Metrics(database)
    for collector in collectors:
        metrics.registry.register(collector)
    _add_health(app, database, metrics)
    _add_dead_letters(app, database)
    app.add_middleware(_Edge, metrics=metrics, largest_body=largest_body, larger=larger or {})
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


class _Metrics:
    """Prometheus metrics of one API process; the state of the seam is read from the database when it is asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.registry = CollectorRegistry()
        self.duration = Histogram(
            "http_request_duration_seconds",
            "Time from the request's arrival to the last byte of the answer",
            ["method", "route", "status"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self._pending = Gauge(
            "outbox_events", "Events not yet confirmed, by subscriber", ["subscriber"], registry=self.registry
        )
        self._age = Gauge("outbox_oldest_seconds", "Age of the oldest unconfirmed event", registry=self.registry)
        self._dead = Gauge("dead_letters", "Events given up, waiting for a person", registry=self.registry)

    def render(self) -> bytes:
        with self._database.tx() as session:
            self._pending.clear()
            rows = session.execute(sa.select(outbox.c.subscriber, sa.func.count()).group_by(outbox.c.subscriber))
            for subscriber, count in rows:
                self._pending.labels(subscriber).set(count)
            age = sa.func.extract("epoch", sa.func.now() - sa.func.min(outbox.c.created_at))
            self._age.set(float(session.scalar(sa.select(age)) or 0))
            dead = sa.select(sa.func.count()).select_from(dead_letter).where(dead_letter.c.dead_at.is_not(None))
            self._dead.set(session.scalar(dead) or 0)
        return generate_latest(self.registry)


def _add_health(app: FastAPI, database: Database, metrics: _Metrics) -> None:
    @app.get("/health/live", tags=["health"], summary="The process answers")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/health/ready", tags=["health"], summary="The database answers and is migrated")
    def ready() -> dict[str, str]:
        with database.tx() as session:
            session.execute(sa.text("select 1 from outbox limit 1"))
        return {"status": "ok"}

    @app.get("/metrics", include_in_schema=False)
    def metrics_page() -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


class DeadLetter(BaseModel):
    """An event this service could not handle. `python -m tejido_<service> dead-letters replay <event_id>` tries it again."""

    event_id: UUID
    type: str
    attempts: int
    error: str
    dead_at: AwareDatetime


def _add_dead_letters(app: FastAPI, database: Database) -> None:
    @app.get("/v1/dead-letters", tags=["operations"], summary="Events given up, the latest hundred")
    def dead_letters(_: Annotated[Principal, Depends(require(Role.AUDITOR))]) -> list[DeadLetter]:
        dead = sa.select(dead_letter).where(dead_letter.c.dead_at.is_not(None)).order_by(dead_letter.c.dead_at.desc())
        with database.tx() as session:
            return [DeadLetter.model_validate(row, from_attributes=True) for row in session.execute(dead.limit(100))]


class _Edge:
    """Around every request: correlation id, language, measured time, one log line, and a span when traces are on."""

    def __init__(self, app: ASGIApp, metrics: _Metrics, largest_body: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._metrics = metrics
        self._largest_body = largest_body
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        correlation = logs.accepted_correlation_id(headers.get("x-correlation-id", ""), str(new_id()))
        logs.correlation_id.set(correlation)
        i18n.language.set(i18n.negotiate(headers.get("accept-language", "")))
        announced = headers.get("content-length", "0")
        coming = announced != "0" or "transfer-encoding" in headers
        started = time.perf_counter()
        status: int | None = None

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                if coming:  # whoever was refused before the end of a body need not send the rest of it
                    out["Connection"] = "close"
                out["X-Correlation-Id"] = correlation
                out.setdefault("Cache-Control", "no-store")
                out["X-Content-Type-Options"] = "nosniff"
            await send(message)

        came = 0
        sizes = (size for end, size in self._larger.items() if scope["path"].endswith(end))
        largest = next(sizes, self._largest_body)

        async def receive_on() -> Message:
            # A body may come without its length, so it is counted as it comes. FastAPI lets an HTTPException through.
            nonlocal came, coming
            message = await receive()
            coming = message.get("more_body", False)
            came += len(message.get("body", b""))
            if came > largest:
                raise HTTPException(413)
            return message

        method = scope["method"]
        with telemetry.span(method, SpanKind.SERVER, headers.get("traceparent")) as span:
            try:
                if announced.isdecimal() and int(announced) > largest:
                    await problems.respond(Request(scope), 413, "too_large")(scope, receive, send_on)
                else:
                    await self._app(scope, receive_on, send_on)
            except Exception as error:
                log.error("unhandled", exc_info=error)  # noqa: TRY400 - JSON, with the trace in it
                if status is None:
                    await problems.respond(Request(scope), 500, "internal")(scope, receive, send_on)
            finally:
                elapsed = time.perf_counter() - started
                path = getattr(scope.get("route"), "path_format", None) or getattr(
                    scope.get("route"), "path", "unmatched"
                )
                span.update_name(f"{method} {path}")
                self._metrics.duration.labels(method, path, str(status)).observe(elapsed)
                if path not in QUIET:
                    # The template, not the path: a path may name a person's request.
                    log.info("request", method=method, route=path, status=status, ms=round(elapsed * 1000, 1))


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the problems every route may answer and the media type they have."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    details = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(details.pop("$defs", {}))
    schemas["ProblemDetails"] = details
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    public = {
        (route.path, method)
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute) and "public" in guards_of(route.original_route.dependant)
        for method in route.original_route.methods or ()
    }
    for path, operations in document["paths"].items():
        if not path.startswith("/v1"):
            operations["get"]["responses"].setdefault("503", {"description": "Not ready", "content": content})
            continue
        for method, operation in operations.items():
            answers = operation["responses"]
            answers["422"] = {"description": "Something in the request is not as it must be", "content": content}
            expected = {"400": "Not readable", "503": "The database or the identity provider is away; try again"}
            if (path, method.upper()) in public:
                operation["security"] = [{}, *operation["security"]]  # a token is welcome, none is needed
            if "security" in operation:
                expected |= {"401": "No valid token", "403": "Not for this caller", "429": "Too many requests"}
            if "{" in path:
                expected["404"] = "There is no such thing, or not for this caller"
            if method != "get":
                expected |= {"409": "Not possible in the present state", "413": "Too large"}
            if any(given["name"] == "If-Match" for given in operation.get("parameters", ())):
                expected |= {"412": "Changed meanwhile", "428": "If-Match is missing"}
            for status, meaning in expected.items():
                answers.setdefault(status, {"description": meaning, "content": content})
    app.openapi_schema = document
    return document


# --- ETag and If-Match -------------------------------------------------------------------------------------------------------


class Versioned(Protocol):
    version: int


IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="The ETag you read: the update fails with 412 if it is no longer true"),
]


def etag(entity: Versioned) -> str:
    return f'"{entity.version}"'


def check_match(if_match: str | None, entity: Versioned) -> None:
    """Raises 428 when the header is missing and 412 when somebody else was faster (RFC 9110, section 13.1.1; RFC 6585)."""
    if if_match is None:
        raise Problem(428, "if_match_missing")
    if not {etag(entity), "*"} & {tag.strip() for tag in if_match.split(",")}:
        raise Problem(412, "changed_meanwhile")
