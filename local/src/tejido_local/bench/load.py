"""A small HTTP client that costs little itself: raw requests over kept connections, as fast as the answers come."""

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What one round saw. `rate` is answers a second, `p50` and `p99` seconds; `refused` counts answers that were not 2xx."""

    rate: float
    p50: float
    p99: float
    refused: int


def http_request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A request as it goes over the wire; header names with `_` for `-`."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append("Content-Type: application/json")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def run(port: int, request: bytes, *, seconds: float, connections: int) -> Load:
    """Sends `request` over `connections` connections for so many seconds."""
    return asyncio.run(_run(port, request, seconds, connections))


async def _run(port: int, request: bytes, seconds: float, connections: int) -> Load:
    took: list[float] = []
    refused = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (started := time.perf_counter()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]
            await reader.readexactly(int(length))
            took.append(time.perf_counter() - started)
            refused += head[9:10] != b"2"
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    elapsed = time.perf_counter() - started
    took.sort()
    return Load(len(took) / elapsed, took[len(took) // 2], took[int(len(took) * 0.99)], refused)
