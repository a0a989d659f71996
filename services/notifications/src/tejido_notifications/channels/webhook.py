"""Signed calls to other systems (Standard Webhooks, standardwebhooks.com). The recipient is a subscription, found by its key."""

import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpcore2
from httpx2 import URL
from standardwebhooks.webhooks import Webhook

from tejido_notifications.channels import Line, Message, Outcome, retry_after
from tejido_notifications.db import read
from tejido_notifications.letters.writing import Unsendable, one_line
from tejido_notifications.settings import NotificationsSettings
from tejido_notifications.webhooks import queries, targets
from tejido_shared import i18n
from tejido_shared.clock import now

LARGEST = 64 * 1024
"""Bytes of an answer that are read."""
KEPT_OPEN = 1.0
"""Seconds that a connection is kept for the next call: shorter than servers do, so that none ends while it is used."""
_BROKE = (httpcore2.NetworkError, httpcore2.ProtocolError)


class WebhookChannel:
    """`loopback`: whether receivers may be on this machine and without TLS. For tests."""

    def __init__(self, settings: NotificationsSettings, *, loopback: bool = False) -> None:
        self._settings, self._loopback = settings, loopback
        self.slots = settings.webhook_slots
        self.rate = settings.rates.get("webhook")
        self._tls = httpcore2.default_ssl_context()

    @contextmanager
    def open(self) -> Iterator["_Line"]:
        network = _Network(self._may_be_called)
        with httpcore2.ConnectionPool(self._tls, keepalive_expiry=KEPT_OPEN, network_backend=network) as pool:
            yield _Line(pool, network, self._settings.webhook_timeout, self._problem_of)

    def _may_be_called(self, address: str) -> bool:
        if self._loopback and targets.is_loopback(address):
            return True
        return targets.may_be_called(address, private=self._settings.webhook_private)

    def _problem_of(self, url: str) -> str | None:
        if self._loopback and URL(url).scheme == "http":
            return None
        return targets.problem_of(url, private=self._settings.webhook_private)


class _Line(Line):
    """One receiver's trouble is not the channel's, so it is always usable."""

    usable = True

    def __init__(
        self,
        pool: httpcore2.ConnectionPool,
        network: "_Network",
        timeout: float,
        problem_of: Callable[[str], str | None],
    ) -> None:
        self._pool, self._network, self._timeout, self._problem_of = pool, network, timeout, problem_of

    def send(self, message: Message) -> Outcome:
        """Makes one call, from connecting to the last byte read within `webhook_timeout`; only a slow DNS may take longer.

        Raises `Unsendable` if the subscription cannot be decrypted.
        """
        try:
            with read() as session:
                target = queries.target(session, UUID(message.recipient_key))
        except ValueError:
            raise Unsendable("undecryptable") from None
        if target is None:
            return _failed("refused", "no_subscription")
        if self._problem_of(target.url) is not None:
            return _failed("deferred", "forbidden_address")
        url, content = URL(target.url), message.letter.body
        where = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        self._network.until = time.monotonic() + self._timeout
        try:
            with self._pool.stream(
                "POST", where, headers=_headers(target, content), content=content.encode()
            ) as answer:
                return _meaning(answer.status, dict(answer.headers), _beginning(answer))
        except _Forbidden:
            return _failed("deferred", "forbidden_address")
        except httpcore2.ConnectTimeout:
            return _failed("deferred", "unreachable")
        except httpcore2.ConnectError as error:
            of_tls = any(isinstance(what, ssl.SSLError) for what in error.args)
            return _failed("deferred", "certificate" if of_tls else "unreachable")
        except httpcore2.TimeoutException:
            return _failed("unknown", "no_answer")
        except _BROKE:
            return _failed("unknown", "dropped")


class _Forbidden(Exception):  # noqa: N818
    """A name leads to an address that may not be called."""


class _Network(httpcore2.NetworkBackend):
    """Resolves a name once, looks at every address, and connects to that very one. Everything ends at `until`, of the monotonic clock.

    A name could lead elsewhere the moment after it was looked at, and a timeout for each step would let a receiver drip for ever.
    """

    def __init__(self, may_be_called: Callable[[str], bool]) -> None:
        self.until = 0.0
        self._may_be_called = may_be_called
        self._plain = httpcore2.SyncBackend()

    def left(self) -> float:
        """Seconds. Raises `httpcore2.ReadTimeout` if there are none."""
        seconds = self.until - time.monotonic()
        if seconds <= 0:
            raise httpcore2.ReadTimeout
        return seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpcore2.ConnectError from None
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        if not all(self._may_be_called(address) for address in addresses):
            raise _Forbidden
        for others, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            try:
                seconds = self.left() / (others + 1)
                stream = self._plain.connect_tcp(address, port, seconds, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if not others:
                    raise
            else:
                return _Stream(stream, self.left)
        raise httpcore2.ConnectError


class _Stream(httpcore2.NetworkStream):
    """A stream with one time limit for all it does."""

    def __init__(self, stream: httpcore2.NetworkStream, left: Callable[[], float]) -> None:
        self._stream, self._left = stream, left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._left()), self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _headers(target: queries.Target, content: str) -> Mapping[bytes | str, bytes | str]:
    """The id is the event's, so a receiver knows for one what it is told again. Both secrets sign while one takes the other's place."""
    event_id, instant = str(json.loads(content)["id"]), now()
    secrets = [target.secret]
    if target.old_secret and target.old_secret_until and target.old_secret_until > instant:
        secrets.append(target.old_secret)
    return {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "Tejido",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(instant.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(event_id, instant, content) for secret in secrets),
    }


def _beginning(answer: httpcore2.Response) -> bytes:
    """What the answer begins with. If the rest does not come, the status has been said all the same."""
    came = b""
    with suppress(httpcore2.TimeoutException, *_BROKE):
        for piece in answer.iter_stream():
            came += piece
            if len(came) > LARGEST:
                break
    return came[:LARGEST]


def _meaning(status: int, headers: dict[bytes, bytes], body: bytes) -> Outcome:
    reply = f"{status} {HTTPStatus(status).phrase}" if status in _STATUSES else str(status)
    if 200 <= status < 300:
        return Outcome("accepted", reply)
    first = one_line(body.decode(errors="replace").strip().partition("\n")[0][:2000])
    first = re.sub(r"\+?\d(?:[\d\s().-]{5,})\d", "…", re.sub(r"\S*(@|://)\S*", "…", first))
    reply = f"{reply}: {first}"[:200].rstrip(": ")
    match status:
        case 410:
            return Outcome("refused", reply, "gone")
        case 429 | 503:
            given = {name.lower(): value for name, value in headers.items()}
            return Outcome("deferred", reply, "busy", retry_after(given.get(b"retry-after", b"").decode("latin-1")))
        case _ if 300 <= status < 400:
            return Outcome("deferred", reply, "redirected")
        case _:
            return Outcome("deferred", reply, str(status))


_STATUSES = frozenset(HTTPStatus)


def _failed(result: str, code: str) -> Outcome:
    return Outcome(result, i18n.text("tejido_notifications", f"reply.receiver_{code}"), code)  # type: ignore[arg-type]
