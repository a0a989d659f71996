"""SMS, WhatsApp, Telegram and the hundred other services that Apprise knows, each as a channel under a name of the municipality's own."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import quote, unquote

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat
from apprise.exception import AppriseException
from apprise.result import AppriseResult, AppriseResultStatus

from tejido_notifications.channels import Line, Message, Outcome
from tejido_notifications.letters.writing import Unsendable, one_line
from tejido_notifications.settings import NotificationsSettings

PATIENCE = 20.0
"""Seconds a service may take. Apprise gives most of them 4 to connect and 4 to answer; `cto` and `rto` in the address change that."""
_log = logging.getLogger("apprise")
_log.propagate = False  # it names recipients; what it says of one message is read from that message's result
_log.setLevel(logging.DEBUG)  # only there it says what broke
_log.addHandler(logging.NullHandler())
logging.getLogger("urllib3").setLevel(logging.ERROR)  # it names whole addresses, tokens and all
_ASSET = AppriseAsset(
    app_id="Tejido",
    app_desc="",
    app_url="",
    http_redirects=False,
    storage_mode="memory",
    service_timeout=PATIENCE,
)
_ADDRESS = re.compile(r"[\w+@.:#=~-]{1,300}")
"""No comma, slash or blank: Apprise would take what is on both sides for a recipient each."""
_DROPPED = re.compile(r"Dropped|Ignor(ed|ing) invalid")
_ERROR = re.compile(r"error=(\d{3,6})\b")
_NOBODY = re.compile(
    r"blocked|unsubscribed|opted out|chat not found|deactivated|not a valid|invalid.*(phone|number)", re.IGNORECASE
)
_NOT_SENT = re.compile(
    r"refused|NewConnection|ConnectTimeout|NameResolution|getaddrinfo|SSLError|unreachable", re.IGNORECASE
)


class _Heard(logging.Handler):
    """What Apprise warns of in this thread within the block."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []
        self._thread = threading.get_ident()

    def __enter__(self) -> Self:
        _log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.warnings.append(record.getMessage())


class RelayedChannel:
    """One service, named by an Apprise address in which `{address}` stands for the recipient."""

    slots = 1

    def __init__(self, name: str, url_template: str, settings: NotificationsSettings) -> None:
        self._line = _Service(url_template)
        self.rate = settings.rates.get(name)

    @contextmanager
    def open(self) -> Iterator["_Service"]:
        yield self._line


class _Service(Line):
    usable = True
    """It may well be in trouble, but Apprise does not say so for certain."""

    def __init__(self, url_template: str) -> None:
        self._template = url_template
        parts = {part for part in re.split(r"[/:@?&=,{}]+", url_template) if len(part) > 3 and part != "address"}
        self._secrets = parts | {unquote(part) for part in parts}

    def send(self, message: Message) -> Outcome:
        """Offers one message; its attachments are not sent. Takes at most `PATIENCE`. Raises `Unsendable` for no usable address."""
        if not _ADDRESS.fullmatch(message.recipient):
            raise Unsendable("address")
        if "{address}" not in self._template:
            return Outcome("deferred", code="misconfigured")  # it would tell everybody what is one person's
        service = self._service(message.recipient)
        if service is None:
            return Outcome("deferred", code="misconfigured")
        letter, titled = message.letter, service.title_maxlen > 0
        relay = Apprise(asset=_ASSET)
        relay.add(service)
        result = relay.notify(
            # Where there is no title, the text says who speaks.
            body=letter.body.strip() if titled else f"{letter.subject}: {letter.body.strip()}",
            title=letter.subject if titled else "",
            body_format=NotifyFormat.TEXT,
            timeout=PATIENCE,
            log_level=logging.DEBUG,
        )
        return self._outcome(result, str(service.service_name), message.recipient)

    def _service(self, recipient: str) -> NotifyBase | None:
        """What sends to this recipient. Raises `Unsendable` if it would not: some services without a valid one send to the sender."""
        with _Heard() as heard:
            try:
                url = self._template.replace("{address}", quote(recipient, safe=""))
                service = Apprise.instantiate(url, asset=_ASSET, suppress_exceptions=False)
            except (AppriseException, TypeError):
                service = None
        if any(_DROPPED.match(warning) for warning in heard.warnings):
            raise Unsendable("address")
        return service

    def _outcome(self, result: AppriseResult, service: str, recipient: str) -> Outcome:
        if result.status == AppriseResultStatus.SUCCESS:
            return Outcome("accepted", f"{service}: OK")
        if result.status == AppriseResultStatus.TIMEOUT:
            return Outcome("unknown", code="no_answer")
        entries = list(result.logs())
        warnings = [entry.message for entry in entries if entry.level in ("WARNING", "ERROR", "CRITICAL")]
        reply = self._without_secrets(f"{service}: {' '.join(warnings)}", recipient)
        if found := _ERROR.search(" ".join(warnings)):
            return _meaning(int(found[1]), reply)
        broke = " ".join(entry.message for entry in entries if "Exception" in entry.message)
        if "onnection error" in reply or broke:
            if _NOT_SENT.search(broke):
                return Outcome("deferred", code="unreachable")
            return Outcome("unknown", code="no_answer" if "timed out" in broke.lower() else "dropped")
        return Outcome("refused", reply, "rejected")  # it was not even asked: no recipient it could send to

    def _without_secrets(self, text: str, recipient: str) -> str:
        """The text on one line without the recipient in any spelling, other addresses, and the parts of the service's address."""
        text = re.sub(r"\S*(@|://)\S*", "…", one_line(text))
        for secret in sorted({*self._secrets, recipient, quote(recipient)}, key=len, reverse=True):
            text = re.sub(re.escape(secret), "…", text, flags=re.IGNORECASE)
        return re.sub(r"\+?\d(?:[\d\s().-]{5,})\d", "…", text)[:300].strip()


def _meaning(error: int, reply: str) -> Outcome:
    """What it means that the service answered with an HTTP status, or a number of its own."""
    # 20xxx are Twilio's complaints about our account; with it, or with the service itself, the recipient has nothing to do.
    ours = error in (401, 402, 403, 407) or 500 <= error < 600 or 20_000 <= error < 21_000
    if error in (408, 425, 429, 20_429):
        return Outcome("deferred", reply, "busy")
    return Outcome("deferred" if ours and not _NOBODY.search(reply) else "refused", reply, str(error))
