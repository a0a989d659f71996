"""The one origin of `./tejido up`, as a process before a service that says what reached it."""

import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tejido_local.processes import answers, free_port, wait_until

_go_on = threading.Event()


async def _echo(request: Request) -> Response:
    said = {
        "path": request.scope["raw_path"].decode(),
        "query": request.scope["query_string"].decode(),
        "headers": dict(request.headers),
        "body": (await request.body()).decode(),
        "client": request.client.host if request.client else None,
    }
    answer = JSONResponse(said, 418)
    answer.raw_headers += [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"etag", b'"3"')]
    return answer


async def _count(request: Request) -> Response:
    came = 0
    async for chunk in request.stream():
        came += len(chunk)
        if request.query_params.get("most") and came > int(request.query_params["most"]):
            return Response(status_code=413, headers={"Connection": "close"})
    return JSONResponse(came)


async def _slow(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        import anyio

        yield b"first"
        await anyio.to_thread.run_sync(_go_on.wait, 10)
        yield b"last"

    return StreamingResponse(pieces())


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx2.Client]:
    """A gateway whose services are all the same one, but for the registry, which is away."""
    methods = ["GET", "POST", "PATCH", "DELETE", "OPTIONS"]
    app = Starlette(
        routes=[
            Route("/v1/count", _count, methods=["POST"]),
            Route("/v1/slow", _slow),
            Route("/{path:path}", _echo, methods=methods),
        ]
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    port, here = free_port(), f"http://127.0.0.1:{listener.getsockname()[1]}"
    upstreams = [f"{name}={here}" for name in ("projects", "requests", "notifications")]
    away = f"registry=http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "tejido_local.gateway", "--port", str(port), away, *upstreams]
    process = subprocess.Popen(command)
    try:
        assert wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), 20)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as http:
            yield http
    finally:
        process.terminate()
        assert process.wait(10) in (0, -15)
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("/requests/v1/tracking/BOG-2026%2F1?x=%C3%B1&x=2", "/v1/tracking/BOG-2026%2F1"),
        ("/projects/v1/openapi.json", "/v1/openapi.json"),
        ("/seguimiento", "/seguimiento"),
        ("/seguimiento/BOG-2026-000001-75/completar", "/seguimiento/BOG-2026-000001-75/completar"),
        ("/open311/v2/services.xml", "/open311/v2/services.xml"),
    ],
)
def test_each_path_reaches_its_service_as_through_caddy(gateway: httpx2.Client, path: str, reached: str) -> None:
    sent = {"X-Forwarded-For": "203.0.113.9", "Accept-Language": "es", "Tracking-Code": "ABC"}
    answer = gateway.post(path, content=b"hola", headers=sent)
    said: dict[str, Any] = answer.json()
    assert answer.status_code == 418
    assert (said["path"], said["body"]) == (reached, "hola")
    assert said["query"] == path.partition("?")[2]
    headers = said["headers"]
    assert (headers["x-forwarded-for"], headers["tracking-code"]) == ("127.0.0.1", "ABC")
    assert headers["host"] == gateway.base_url.netloc.decode()
    assert headers["content-length"] == "4"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["etag"] == '"3"'


def test_what_stays_inside_and_what_is_away(gateway: httpx2.Client) -> None:
    for path in (
        "/",
        "/requests/metrics",
        "/requests/health/ready",
        "/nobody/v1/x",
        "/v1/x",
        "/seguimientos",
        "/open311",
        "/constancias",
    ):
        answer = gateway.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
    for path in ("/registry/v1/organizations", "/constancia", "/constancia/ABCD-EFGH-JKLM-NPQR"):
        away = gateway.get(path)
        assert (away.status_code, away.json()["title"]) == (502, "Bad Gateway")
        assert away.headers["content-type"] == "application/problem+json"
    assert gateway.request("OPTIONS", "/requests/v1/x").status_code == 418
    assert gateway.head("/requests/v1/slow").status_code in (200, 405)


def test_bodies_go_through_as_they_come(gateway: httpx2.Client) -> None:
    drawn = 0

    def pieces(megabytes: int) -> Iterator[bytes]:
        nonlocal drawn
        for _ in range(megabytes * 16):
            drawn += 1 << 16
            yield b"x" * (1 << 16)

    assert gateway.post("/requests/v1/count", content=pieces(60)).json() == 60 << 20
    drawn = 0
    try:
        refused = gateway.post("/requests/v1/count", params={"most": 1_000_000}, content=pieces(400))
        # A service that closes with unread bytes on the line may take its own answer with it.
        assert refused.status_code in (413, 502)
    except httpx2.TransportError:
        pass
    assert drawn < 60_000_000
    _go_on.clear()
    with gateway.stream("GET", "/requests/v1/slow") as answer:
        coming = answer.iter_raw()
        assert next(coming) == b"first"  # while the service still writes
        _go_on.set()
        assert b"".join(coming) == b"last"
