"""The local mailbox: takes every message by SMTP, delivers none, and shows them on a page and as JSON.

    python -m tejido_local.mailbox --smtp-port 8126 --web-port 8125 --directory .tejido/mailbox

`/` lists the newest messages, `/N` shows one; `/messages` and `/messages/N` are the same as JSON; `/messages/N/source`
is the message as it came. `?to=` keeps those whose recipients contain the text.
"""

import argparse
import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from itertools import islice
from pathlib import Path
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tejido_shared.i18n import negotiate, text

KEPT = 5000
SHOWN = 100
LARGEST = 25 * 1024 * 1024  # bytes

Summary = dict[str, Any]


class Store:
    """Messages as files 000000001.eml, … in a directory; the oldest go when there are more than `kept`."""

    def __init__(self, directory: Path, kept: int = KEPT) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._kept = kept
        self._numbers = sorted(int(path.stem) for path in directory.glob("*.eml") if re.fullmatch(r"\d{9,}", path.stem))
        self._summaries: dict[int, Summary] = {}

    def add(self, sender: str, recipients: list[str], content: bytes) -> int:
        """Keeps a message and returns its number. Raises OSError when the disk does not take it."""
        number = self._numbers[-1] + 1 if self._numbers else 1
        headers = {
            "X-Mailbox-Received": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "X-Mailbox-From": sender,
            "X-Mailbox-To": ", ".join(recipients),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        new = self._directory / "new"
        new.write_bytes(head.encode() + content)
        new.replace(self._path(number))
        self._numbers.append(number)
        while len(self._numbers) > self._kept:
            oldest = self._numbers.pop(0)
            self._summaries.pop(oldest, None)
            self._path(oldest).unlink(missing_ok=True)
        return number

    def source(self, number: int) -> bytes:
        """The message as it came, below the envelope. Raises KeyError for a number that is not kept."""
        if number not in self._numbers:
            raise KeyError(number)
        return self._path(number).read_bytes()

    def newest(self, to: str = "", before: int | None = None) -> Iterator[Summary]:
        """Summaries from the newest on, of the numbers below `before` and the recipients that contain `to`."""
        for number in reversed(self._numbers.copy()):
            if before is None or number < before:
                try:
                    summary = self._summary(number)
                except (KeyError, FileNotFoundError):  # removed meanwhile
                    continue
                if to.casefold() in summary["to"].casefold():
                    yield summary

    def message(self, number: int) -> Summary:
        """Summary, all headers, text, HTML and attachments' names of a message. Raises KeyError."""
        message = message_from_bytes(self.source(number), policy=policy.default)
        return {
            **self._summary(number),
            "headers": [[name, str(value)] for name, value in message.items() if not name.startswith("X-Mailbox-")],
            "text": _body(message, "plain"),
            "html": _body(message, "html"),
            "attachments": [part.get_filename() or part.get_content_type() for part in message.iter_attachments()],
        }

    def _summary(self, number: int) -> Summary:
        if number not in self._summaries:
            message = BytesHeaderParser(policy=policy.default).parsebytes(self.source(number))
            self._summaries[number] = {
                "number": number,
                "received": str(message["X-Mailbox-Received"]),
                "from": str(message["From"] or message["X-Mailbox-From"]),
                "to": str(message["X-Mailbox-To"]),
                "subject": str(message["Subject"] or ""),
            }
        return self._summaries[number]

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:09}.eml"


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except LookupError:  # a charset Python does not know
        return bytes(part.get_payload(decode=True) or b"").decode("utf-8", "replace")


class _Receiver:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        number = self._store.add(envelope.mail_from or "", envelope.rcpt_tos, content)
        return f"250 Kept as {number}"


_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""<!doctype html>
<html lang="{{ lang }}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ message.subject or t("mailbox.title") }}</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.4rem } a { color: inherit } .quiet { opacity: .75 } form { margin: 1rem 0 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .4rem .6rem; vertical-align: top }
tr { border-bottom: 1px solid #8886 } td { overflow-wrap: anywhere }
input, button { font: inherit; padding: .3rem .6rem } pre { white-space: pre-wrap; overflow-wrap: anywhere }
pre, iframe { border: 1px solid #8886; border-radius: .4rem; padding: 1rem; width: 100%; box-sizing: border-box }
iframe { height: 36rem; background: #fff; padding: 0 }
</style>
{% if message %}
<p><a href="/">{{ t("mailbox.all") }}</a> ·
<a href="/messages/{{ message.number }}/source">{{ t("mailbox.source") }}</a>
<h1>{{ message.subject or t("mailbox.no_subject") }}</h1>
<table>
{% for name in ("from", "to", "received") %}
<tr><th scope="row">{{ t("mailbox." + name) }}<td>{{ message[name] }}
{% endfor %}
{% if message.attachments %}
<tr><th scope="row">{{ t("mailbox.attachments") }}<td>{{ message.attachments | join(", ") }}
{% endif %}
</table>
{% if message.text %}<h2>{{ t("mailbox.text") }}</h2><pre>{{ message.text }}</pre>{% endif %}
{% if message.html %}
<h2>{{ t("mailbox.html") }}</h2><iframe sandbox="" title="{{ t("mailbox.html") }}" srcdoc="{{ message.html }}"></iframe>
{% endif %}
{% else %}
<h1>{{ t("mailbox.title") }}</h1>
<p class="quiet">{{ t("mailbox.explanation") }}</p>
<form><label>{{ t("mailbox.filter") }} <input name="to" value="{{ to }}"></label>
<button>{{ t("mailbox.search") }}</button></form>
{% if messages %}
<table>
<thead><tr>{% for name in ("received", "to", "subject") %}<th scope="col">{{ t("mailbox." + name) }}{% endfor %}</thead>
{% for each in messages %}
<tr><td>{{ each.received[:16] | replace("T", " ") }} UTC<td>{{ each.to }}
<td><a href="/{{ each.number }}">{{ each.subject or t("mailbox.no_subject") }}</a>
{% endfor %}
</table>
{% if messages | length == shown %}
<p><a href="/?{{ {"to": to, "before": messages[-1].number} | urlencode }}">{{ t("mailbox.older") }}</a>
{% endif %}
{% else %}
<p>{{ t("mailbox.none") }}
{% endif %}
{% endif %}
</html>
""")


def create_app(store: Store, host: str, smtp_port: int) -> Starlette:
    """The page and its SMTP server, which live together. On loopback only loopback names are answered: no web page can
    read the mail by giving its own name the address 127.0.0.1."""

    def page(request: Request, **what: Any) -> Response:
        lang = negotiate(request.headers.get("accept-language", ""))
        body = _PAGE.render(lang=lang, shown=SHOWN, t=lambda code: text("tejido_local", code, lang), **what)
        forbidden = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'"
        return HTMLResponse(body, headers={"Content-Security-Policy": forbidden, "Referrer-Policy": "no-referrer"})

    def chosen(request: Request) -> list[Summary]:
        before = request.query_params.get("before", "")
        if before and not re.fullmatch(r"[0-9]{1,18}", before):
            raise HTTPException(422)
        found = store.newest(request.query_params.get("to", ""), int(before) if before else None)
        return list(islice(found, SHOWN))

    def the_message(request: Request) -> Summary:
        try:
            return store.message(request.path_params["number"])
        except KeyError:
            raise HTTPException(404) from None

    def list_page(request: Request) -> Response:
        return page(request, message=None, messages=chosen(request), to=request.query_params.get("to", ""))

    def message_page(request: Request) -> Response:
        return page(request, message=the_message(request))

    def list_json(request: Request) -> Response:
        return JSONResponse({"messages": chosen(request)})

    def message_json(request: Request) -> Response:
        return JSONResponse(the_message(request))

    def source(request: Request) -> Response:
        try:
            content = store.source(request.path_params["number"])
        except KeyError:
            raise HTTPException(404) from None
        return PlainTextResponse(content, headers={"X-Content-Type-Options": "nosniff"})

    @asynccontextmanager
    async def smtp(_app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def session() -> SMTP:
            return SMTP(
                _Receiver(store), data_size_limit=LARGEST, enable_SMTPUTF8=True, hostname="localhost", loop=loop
            )

        server = await loop.create_server(session, host, smtp_port)
        yield
        server.close()

    names = ["*"] if host == "0.0.0.0" else [host, "127.0.0.1", "localhost"]
    return Starlette(
        routes=[
            Route("/", list_page),
            Route("/{number:int}", message_page),
            Route("/messages", list_json),
            Route("/messages/{number:int}", message_json),
            Route("/messages/{number:int}/source", source),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=names)],
        lifespan=smtp,
    )


def main() -> None:
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tejido_local.mailbox", description="SMTP sink with a page")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--web-port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    app = create_app(Store(given.directory), given.host, given.smtp_port)
    uvicorn.run(
        app, host=given.host, port=given.web_port, access_log=False, log_level="warning", timeout_graceful_shutdown=2
    )


if __name__ == "__main__":
    main()
