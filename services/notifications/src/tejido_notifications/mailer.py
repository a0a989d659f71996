"""E-mail by SMTP: what is said to the mail server, and what its answer means for the message."""

import re
import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from functools import partial
from types import TracebackType
from typing import Literal, Self
from uuid import UUID

from tejido_notifications.letters import Letter, Unsendable, one_line
from tejido_notifications.settings import NotificationsSettings, jurisdiction
from tejido_shared.clock import now

Result = Literal["accepted", "deferred", "refused", "unknown", "unsendable"]


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt. `reply` is the server's words without addresses; when it had none, `code` names what went wrong.

    `deferred` and `unknown` are tried again; `unknown`: the line broke after the message began, and the server may have taken it.
    `refused` is the server's final no to this recipient or this message.
    """

    result: Result
    reply: str = ""
    code: str | None = None


class Mailer:
    """One connection to the mail server, opened for the first message and kept for the next ones."""

    def __init__(self, settings: NotificationsSettings) -> None:
        self._settings = settings
        self._smtp: smtplib.SMTP | None = None
        self.sender = settings.smtp_sender or jurisdiction().entity.email

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if self._smtp is not None and error is None:
            with suppress(OSError):
                self._smtp.quit()
        self._close()

    @property
    def connected(self) -> bool:
        return self._smtp is not None

    def send(self, letter: Letter, message_id: UUID, recipient: str) -> Outcome:
        """Offers one message to the server. Takes at most a few times `smtp_timeout`. Raises `Unsendable` for no usable address."""
        content, address = self._message(letter, message_id, recipient)
        try:
            smtp = self._ready()
        except smtplib.SMTPResponseException as error:
            self._close()
            return Outcome("deferred", _words(error.smtp_code, error.smtp_error, recipient))
        except OSError as error:  # every error of smtplib, ssl and the socket
            self._close()
            return Outcome("deferred", code=_what_broke(error, "unreachable"))
        begun = False
        try:
            options = () if address.isascii() else ("SMTPUTF8", "BODY=8BITMIME")
            if options and not smtp.has_extn("smtputf8"):
                return Outcome("refused", code="no_smtputf8")
            code, reply = smtp.mail(self.sender, options)
            if code != 250:
                return self._answered("deferred", code, reply, recipient)
            code, reply = smtp.rcpt(address)
            if code not in (250, 251):
                return self._answered("refused" if code >= 500 else "deferred", code, reply, recipient)
            begun = True
            code, reply = smtp.data(content)
        except smtplib.SMTPDataError as error:  # the server answered to DATA itself
            code, reply = error.smtp_code, _bytes(error.smtp_error)
        except OSError as error:
            self._close()
            return Outcome("unknown" if begun else "deferred", code=_what_broke(error, "dropped"))
        if code == 250:
            return Outcome("accepted", _words(code, reply, recipient))
        return self._answered("refused" if code >= 500 else "deferred", code, reply, recipient)

    def _answered(self, result: Result, code: int, reply: bytes, recipient: str) -> Outcome:
        if code == 421 or code < 0:  # the server is closing the connection
            self._close()
        return Outcome(result, _words(code, reply, recipient))

    def _message(self, letter: Letter, message_id: UUID, recipient: str) -> tuple[bytes, str]:
        """The message and its envelope address. The Message-ID is that of the delivery: a second copy can be known for one."""
        name, _, domain = recipient.rpartition("@")
        try:
            to = Address(username=name, domain=domain.encode("idna").decode())
            if not name or one_line(recipient) != recipient or " " in recipient:
                raise ValueError(recipient)
        except ValueError:
            raise Unsendable("address") from None
        entity = jurisdiction().entity
        policy = SMTP if to.addr_spec.isascii() else SMTPUTF8
        message = EmailMessage(policy=policy)
        message["From"] = Address(one_line(entity.name), addr_spec=self.sender)
        message["To"] = to
        if entity.email != self.sender:
            message["Reply-To"] = Address(one_line(entity.name), addr_spec=entity.email)
        message["Subject"] = letter.subject
        message["Date"] = now().astimezone(jurisdiction().zone)
        message["Message-ID"] = f"<{message_id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence note answers it
        message.set_content(letter.body, cte="quoted-printable")
        message["Content-Language"] = (
            letter.language
        )  # after the content: setting that takes every Content- header away
        # Headers unfolded: Python's folding puts a second space before an encoded word.
        return message.as_bytes(policy=policy.clone(max_line_length=998)), to.addr_spec

    @property
    def _domain(self) -> str:
        return self.sender.rpartition("@")[2]

    def _ready(self) -> smtplib.SMTP:
        """A connection at the beginning of a message; the kept one if the server still holds it."""
        if self._smtp is not None:
            try:
                if self._smtp.rset()[0] == 250:
                    return self._smtp
            except OSError:
                pass
            self._close()
        settings = self._settings
        tls = ssl.create_default_context()
        connect = partial(smtplib.SMTP_SSL, context=tls) if settings.smtp_security == "tls" else smtplib.SMTP
        # Our own name is given, or smtplib asks the resolver for it, which may take long.
        smtp = connect(
            settings.smtp_host, settings.smtp_port, local_hostname=self._domain, timeout=settings.smtp_timeout
        )
        self._smtp = smtp
        smtp.ehlo_or_helo_if_needed()
        if settings.smtp_security == "starttls":
            smtp.starttls(context=tls)
            smtp.ehlo_or_helo_if_needed()
        if settings.smtp_username:
            smtp.login(settings.smtp_username, settings.smtp_password.get_secret_value())
        return smtp

    def _close(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None


def _what_broke(error: OSError, otherwise: str) -> str:
    if TimeoutError in (type(error), type(error.__context__)):  # smtplib hides one behind its own error
        return "no_answer"
    if isinstance(error, ssl.SSLError | smtplib.SMTPNotSupportedError):
        return "not_offered"
    return otherwise


def _bytes(reply: bytes | str) -> bytes:
    return reply if isinstance(reply, bytes) else reply.encode()


def _words(code: int, reply: bytes | str, recipient: str) -> str:
    """The server's reply on one line, without the addresses it may repeat, nor the recipient's name in one."""
    text = one_line(_bytes(reply).decode(errors="replace"))
    text = re.sub(r"\S*@\S*", "…", text)
    text = re.sub(rf"(?<!\w){re.escape(recipient.rpartition('@')[0])}(?!\w)", "…", text, flags=re.IGNORECASE)
    return f"{code} {text}"[:500].strip()
