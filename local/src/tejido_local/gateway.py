"""One origin for the services of `./tejido up`, with the paths that Caddy gives a municipality (deploy/gateway/Caddyfile).

/requests/v1/… is /v1/… of the service requests, and so for the others; the pages for citizens and Open311 keep their own addresses. Bodies
go through as they come, both ways. For one machine: no TLS and no limits of its own.
"""

import argparse
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_API = re.compile(r"/(?P<service>[a-z]+)(?P<path>/v1/.*)")
_AS_IT_IS = {
    "requests": re.compile(r"/(seguimiento(/.*)?|open311/.*)"),
    "registry": re.compile(r"/constancia(/.*)?"),
}
"""What is passed to a service under its own address."""
_OF_ONE_LINE = {  # RFC 9110, section 7.6.1: they end at the next hop
    *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),  # ours to say
}


def create_app(upstreams: Mapping[str, str]) -> Starlette:
    """`upstreams`: the origin of each service, by name."""
    # Connections are not kept: a service closes an idle one just when it would be used again.
    line = httpx2.AsyncClient(timeout=None, limits=httpx2.Limits(max_keepalive_connections=0), trust_env=False)

    async def pass_on(request: Request) -> Response:
        coming = "content-length" in request.headers or "transfer-encoding" in request.headers
        response = await answered(request, coming=coming)
        if coming:  # whoever was refused before the end of a body need not send the rest of it
            response.raw_headers.append((b"connection", b"close"))
        return response

    async def answered(request: Request, *, coming: bool) -> Response:
        target = _target(request.scope["raw_path"].decode("ascii"), upstreams)
        if target is None:
            return _problem(404)
        query = request.scope["query_string"].decode("ascii")
        url = f"{target}?{query}" if query else target
        headers = [pair for pair in request.headers.items() if pair[0] not in _OF_ONE_LINE]
        headers += [("x-forwarded-for", request.client.host if request.client else ""), ("x-forwarded-proto", "http")]
        content = request.stream() if coming else None
        try:
            answer = await line.send(httpx2.Request(request.method, url, headers=headers, content=content), stream=True)
        except httpx2.TransportError:
            return _problem(502)
        except ClientDisconnect:
            return _problem(400)
        response = StreamingResponse(_chunks(answer), answer.status_code)
        response.raw_headers = [pair for pair in answer.headers.raw if pair[0].lower().decode() not in _OF_ONE_LINE]
        return response

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with line:
            yield

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    routes = [Route("/health", health), Route("/{path:path}", pass_on, methods=_METHODS)]
    return Starlette(routes=routes, lifespan=lifespan)


def _target(path: str, upstreams: Mapping[str, str]) -> str | None:
    """Where a path leads; nowhere if it is not for everybody, as /metrics of the services."""
    if (api := _API.fullmatch(path)) and api["service"] in upstreams:
        return upstreams[api["service"]] + api["path"]
    for service, own in _AS_IT_IS.items():
        if own.fullmatch(path):
            return upstreams[service] + path
    return None


async def _chunks(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _problem(status: int) -> Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(body, status, media_type="application/problem+json")


def main() -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tejido_local.gateway", description="One origin for all services")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("upstreams", nargs="+", metavar="SERVICE=URL")
    given = parser.parse_args()
    app = create_app(dict(upstream.split("=", 1) for upstream in given.upstreams))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=given.port,
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
