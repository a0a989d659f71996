"""Messages to browsers by their makers' push services (RFC 8030), encrypted for the browser (RFC 8188, RFC 8291), signed by us (RFC 8292).

An address is the browser's subscription as it gives it out: `{"endpoint": "https://…", "keys": {"p256dh": "…", "auth": "…"}}`.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit

import http_ece
import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02
from pydantic import BaseModel, Field, ValidationError

from tejido_notifications.channels import Line, Message, Outcome, retry_after
from tejido_notifications.letters.writing import Letter, Unsendable
from tejido_notifications.settings import NotificationsSettings, jurisdiction
from tejido_shared.clock import now

TIMEOUT = 10.0
"""Seconds to wait for the push service's next word."""
KEPT = 3 * 24 * 3600
"""Seconds for which the push service keeps a message for a browser that is not there."""
SIGNED_FOR = 12 * 3600
"""Seconds; at most 24 hours (RFC 8292, section 2)."""
TITLE, BODY = 120, 500
"""Characters; with them a message is below 3 kB in any script."""


class Keys(BaseModel):
    p256dh: str = Field(max_length=200)
    auth: str = Field(max_length=100)


class PushSubscription(BaseModel):
    """Where and how a browser is reached."""

    endpoint: str = Field(max_length=2000)
    keys: Keys

    @property
    def parts(self) -> tuple[bytes, bytes]:
        """Its public key, a point of P-256, and its secret of 16 bytes. Raises `ValueError`."""
        key, secret = _decoded(self.keys.p256dh), _decoded(self.keys.auth)
        if len(secret) != 16:
            raise ValueError("auth")
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
        return key, secret


class WebPushChannel:
    """Only the push services of `web_push_hosts` are called, for a subscription comes from a stranger.

    `also`: further origins, for tests.
    """

    slots = 2

    def __init__(self, settings: NotificationsSettings, also: frozenset[str] = frozenset()) -> None:
        self._settings, self._also = settings, also
        self.rate = settings.rates.get("web_push")

    @contextmanager
    def open(self) -> Iterator["_Line"]:
        with httpx2.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as http:
            yield _Line(self._settings, self._also, http)


class _Line(Line):
    usable = True

    def __init__(self, settings: NotificationsSettings, also: frozenset[str], http: httpx2.Client) -> None:
        self._settings, self._also, self._http = settings, also, http

    def send(self, message: Message) -> Outcome:
        """Offers one message. Takes at most a few times `TIMEOUT`. Raises `Unsendable` for no usable subscription."""
        try:
            subscription = PushSubscription.model_validate_json(message.recipient)
            key, secret = subscription.parts
            origin = _origin(subscription.endpoint)
        except (ValidationError, ValueError):
            raise Unsendable("address") from None
        if origin not in self._also and not _is_among(origin, self._settings.web_push_hosts):
            return Outcome("refused", code="push_host")
        content = http_ece.encrypt(
            self._payload(message.letter, str(message.id)),
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=key,
            auth_secret=secret,
            version="aes128gcm",
        )
        headers = {
            **self._signature(origin),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(KEPT),
            "Urgency": "normal",
            "Topic": message.id.hex,  # a second copy takes the place of one that the browser has not fetched
        }
        self.usable = True
        try:
            answer = self._http.post(subscription.endpoint, content=content, headers=headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            self.usable = False
            return Outcome("deferred", code="unreachable")
        except httpx2.TimeoutException:
            return Outcome("unknown", code="no_answer")
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return Outcome("unknown", code="dropped")
        return _meaning(answer)

    def _payload(self, letter: Letter, message_id: str) -> bytes:
        """What the service worker of the site is given. `id` is the same in every copy."""
        said = {
            "id": message_id,
            "title": letter.subject[:TITLE],
            "body": letter.body.strip()[:BODY],
            "url": self._settings.common.public_url,
        }
        return json.dumps(said, ensure_ascii=False).encode(errors="replace")

    def _signature(self, origin: str) -> dict[str, str]:
        claims = {
            "aud": origin,
            "exp": int(now().timestamp()) + SIGNED_FOR,
            "sub": f"mailto:{jurisdiction().entity.email}",
        }
        signed: dict[str, str] = _vapid(self._settings.web_push_key.get_secret_value()).sign(claims)
        return signed


def public_key(settings: NotificationsSettings) -> str:
    """What a page gives its browser as `applicationServerKey` to subscribe; base64url."""
    key = _vapid(settings.web_push_key.get_secret_value()).public_key
    return urlsafe_b64encode(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).rstrip(b"=").decode()


@cache
def _vapid(key: str) -> Vapid02:
    """Raises `ValueError` for what is neither 32 bytes in base64url nor DER nor PEM."""
    return Vapid02.from_pem(key.replace("\\n", "\n").encode()) if "-----BEGIN" in key else Vapid02.from_string(key)


def _origin(url: str) -> str:
    """Raises `ValueError` for what is no plain address of the web: with a user in it, or a port that is no number."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc or "\\" in url:
        raise ValueError(url)
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def _is_among(origin: str, hosts: list[str]) -> bool:
    return any(
        origin == f"https://{host}" or (origin.startswith("https://") and origin.endswith(f".{host}")) for host in hosts
    )


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


def _meaning(answer: httpx2.Response) -> Outcome:
    """What the push service's answer means (RFC 8030, sections 5 and 7.3). Its body may repeat the subscription and is not kept."""
    status = answer.status_code
    reply = f"{status} {answer.reason_phrase}".strip()
    match status:
        case 200 | 201 | 202:
            return Outcome("accepted", reply)
        case 404 | 410:
            return Outcome("refused", reply, "gone")
        case 429 | 503:
            return Outcome("deferred", reply, "busy", retry_after(answer.headers.get("Retry-After", "")))
        case 401 | 408:  # our key, or our delay
            return Outcome("deferred", reply, str(status))
        case _:
            return Outcome("deferred" if status >= 500 else "refused", reply, str(status))
