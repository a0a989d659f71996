"""E-mail by SMTP: what is said to the mail server, and what its answer means for the message.

A mail is put together here and not by `email.message`, which needs several milliseconds for what the encoders of the standard library
do in a tenth of one.
"""

import hashlib
import re
import smtplib
import ssl
from base64 import b64encode, encodebytes
from binascii import b2a_qp
from contextlib import AbstractContextManager, suppress
from email.headerregistry import Address
from email.utils import encode_rfc2231, format_datetime, quote
from functools import cache, partial
from socket import IPPROTO_TCP, TCP_NODELAY
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from dkim.canonicalization import Relaxed

from tejido_notifications.channels import Attached, Line, Message, Outcome, Result
from tejido_notifications.letters.writing import Unsendable, one_line
from tejido_notifications.settings import NotificationsSettings, jurisdiction
from tejido_shared.clock import now

_Answer = tuple[int, bytes]
_NOBODY = None, None
_NOTHING = None, b""
_TEXT = 354
_WANTED = (250,), (250, 251), (_TEXT,)
"""What a server answers to MAIL, RCPT and DATA."""
_DOT = re.compile(rb"^\.", re.MULTILINE)
_GREYLISTING = re.compile(r"gr[ae]y[- ]?list|postgrey|come back later", re.IGNORECASE)
_SIGNED = (
    *("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"),
    *("List-Unsubscribe", "List-Unsubscribe-Post"),
)


class EmailChannel:
    """The municipality's mail server. Raises `ValueError` if `dkim_key` is no key to sign with."""

    def __init__(self, settings: NotificationsSettings) -> None:
        self._settings = settings
        self.slots = settings.smtp_connections
        self.rate = settings.rates.get("email")
        key = settings.dkim_key.get_secret_value()
        self._signer = Signer(key, settings.dkim_selector) if key else None

    def open(self) -> AbstractContextManager[Line]:
        return Mailer(self._settings, self._signer)


class Mailer(Line):
    """One connection to the mail server, opened for the first message and kept for the next ones."""

    def __init__(self, settings: NotificationsSettings, signer: "Signer | None" = None) -> None:
        self._settings = settings
        self._signer = signer
        self._smtp: smtplib.SMTP | None = None
        self._expected: Message | None = None
        self._asked: str | None = None
        """For whom the server was told that a mail follows, which it has not answered yet."""
        self._written: tuple[Message | None, bytes] = _NOTHING
        self._announced: tuple[Message | None, Outcome | None] = _NOBODY
        self._between = False
        """Whether the server is known to wait for the next message: RFC 5321, section 4.1.4, has it forget the last one after its 250."""
        self._within = False
        """Whether it waits for the end of a text: until it has that, no message was sent (RFC 5321, section 4.1.1.4)."""
        entity = jurisdiction().entity
        self.sender = settings.smtp_sender or entity.email
        self._domain = self.sender.rpartition("@")[2]
        self._envelope_sender = settings.bounce_sender or self.sender
        self._own = {"From": _mailbox(entity.name, self.sender)}
        if entity.email != self.sender:
            self._own["Reply-To"] = _mailbox(entity.name, entity.email)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if self._smtp is not None and error is None and not self._within and self._asked is None:
            with suppress(OSError):
                self._smtp.quit()
        self._close()

    @property
    def usable(self) -> bool:
        return self._smtp is not None

    def expect(self, message: Message) -> None:
        """Has who this mail is for said together with the end of the one before."""
        self._expected = message

    def announce(self, message: Message) -> None:
        """Says all of the message but the dot that ends it, over a line that is ready for it."""
        self._announced = _NOBODY
        if self._between:
            self._announced = message, self._say(message)

    def send(self, message: Message) -> Outcome:
        """Offers one message to the server. Takes at most a few times `smtp_timeout`. Raises `Unsendable` for no usable address."""
        (announced, refused), self._announced = self._announced, _NOBODY
        expected, self._expected = self._expected, None
        if announced is not message:
            refused = self._say(message)
        if refused is not None or self._smtp is None:
            return refused or Outcome("deferred", code="dropped")
        ended = self._within = False
        try:
            self._smtp.send(b".\r\n")
            ended = True
            if expected is not None:
                self._foresee(self._smtp, expected)
            code, reply = self._smtp.getreply()
        except OSError as error:  # every error of smtplib, ssl and the socket
            self._close()
            return Outcome("unknown" if ended else "deferred", code=_what_broke(error, "dropped"))
        self._between = code == 250
        return self._answered(
            "accepted" if code == 250 else "refused" if code >= 500 else "deferred", code, reply, message
        )

    def _foresee(self, smtp: smtplib.SMTP, message: Message) -> None:
        """While the server takes a mail: says who the next one is for, waiting for no answer (RFC 2920, section 3.1), and writes it."""
        with suppress(Exception):  # it shows in what the server answers, or when its turn comes
            envelope = _Envelope(self._envelope_sender, message.recipient)
            if smtp.sock is not None and envelope.may_be_said_at_once(smtp):
                self._asked = envelope.address
                # Not smtplib's own, which hangs up if it fails: an answer has yet to be read.
                smtp.sock.sendall(envelope.at_once())
            self._written = message, self._content(message, envelope.address)

    def _say(self, message: Message) -> Outcome | None:
        """Says all but the end. What came of it if the server does not want to hear that."""
        envelope = _Envelope(self._envelope_sender, message.recipient)
        try:
            smtp = self._ready(envelope)
            if not envelope.may_be_said(smtp):
                return Outcome("refused", code="no_smtputf8")
            smtp, answers = self._begin(smtp, envelope)
            refused, (code, reply) = _meaning(answers)
            if refused is None:
                self._within = True  # RFC 5321, section 4.5.2: a line that begins with a dot is sent with one more
                (written, content), self._written = self._written, _NOTHING
                if written is not message:
                    content = self._content(message, envelope.address)
                smtp.send(_DOT.sub(b"..", content).removesuffix(b"\r\n") + b"\r\n")
                return None
            if answers[-1][0] == _TEXT:  # all the same: an end would be an empty mail
                self._close()
        except smtplib.SMTPResponseException as error:  # its greeting, or its answer to the login
            self._close()
            return _outcome("deferred", error.smtp_code, error.smtp_error, message.recipient)
        except OSError as error:  # every error of smtplib, ssl and the socket
            connected = self.usable
            self._close()
            return Outcome("deferred", code=_what_broke(error, "dropped" if connected else "unreachable"))
        return self._answered(refused, code, reply, message)

    def _answered(self, result: Result, code: int, reply: bytes, message: Message) -> Outcome:
        if code == 421 or code < 0:  # the server is closing the connection
            self._close()
        return _outcome(result, code, reply, message.recipient)

    def _begin(self, smtp: smtplib.SMTP, envelope: "_Envelope") -> tuple[smtplib.SMTP, list[_Answer]]:
        """What the server answers to MAIL, RCPT and DATA. A connection that it gave up meanwhile, which shows only now, is opened anew, as
        is one where it is not ready for a mail: nothing was sent yet."""
        asked, self._asked = self._asked is not None, None
        kept, self._between = self._between or asked, False
        try:
            answers = envelope.answers(smtp) if asked else envelope.say(smtp)
        except OSError:
            if not kept:
                raise
            answers = [(421, b"")]
        if kept and answers[0][0] in (421, 503):
            self._close()
            smtp = self._connect()
            return smtp, envelope.say(smtp)
        return smtp, answers

    def _ready(self, envelope: "_Envelope") -> smtplib.SMTP:
        """A connection at the beginning of a message; the kept one if the server still holds it."""
        if self._within or self._asked not in (None, envelope.address):
            self._close()  # another one cannot be taken back but by hanging up
        if self._smtp is not None and not self._between and self._asked is None:
            with suppress(OSError):
                self._between = self._smtp.rset()[0] == 250
            if not self._between:
                self._close()
        return self._smtp or self._connect()

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        connect = partial(smtplib.SMTP_SSL, context=_tls()) if settings.smtp_security == "tls" else smtplib.SMTP
        # Our own name is given, or smtplib asks the resolver for it, which may take long.
        smtp = connect(
            settings.smtp_host, settings.smtp_port, local_hostname=self._domain, timeout=settings.smtp_timeout
        )
        try:
            if smtp.sock is not None:  # or the end of a text would wait until its beginning is acknowledged
                smtp.sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            smtp.ehlo_or_helo_if_needed()
            if settings.smtp_security == "starttls":
                smtp.starttls(context=_tls())
                smtp.ehlo_or_helo_if_needed()
            if settings.smtp_username:
                smtp.login(settings.smtp_username, settings.smtp_password.get_secret_value())
        except OSError:
            smtp.close()
            raise
        self._smtp = smtp
        return smtp

    def _close(self) -> None:
        self._between = self._within = False
        self._asked = None
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    def _content(self, message: Message, address: str) -> bytes:
        """The mail. Its Message-ID is that of the delivery: a second copy can be known for one."""
        letter = message.letter
        headers = {
            **self._own,
            "To": address,
            "Subject": _encoded(letter.subject),
            "Date": format_datetime(now().astimezone(jurisdiction().zone)),
            "Message-ID": f"<{message.id}@{self._domain}>",
            "Auto-Submitted": "auto-generated",  # RFC 3834: no absence note answers it
            "Content-Language": letter.language,
            **{name: one_line(value) for name, value in message.headers.items()},
            "MIME-Version": "1.0",
        }
        parts = [_text("plain", letter.body)]
        if letter.html:
            parts.append(_text("html", letter.html))
        # Clients show an invitation that stands beside the text, and keep one that is a file: hence both.
        parts += [_invitation(file) for file in message.attached if _is_calendar(file)]
        whole = _together("alternative", parts, message.id.hex)
        if message.attached:
            whole = _together("mixed", [whole, *map(_file, message.attached)], message.id.hex)
        inner, body = whole
        headers |= inner
        lines = [(name, value.encode()) for name, value in headers.items()]
        if self._signer is not None:
            lines.insert(0, ("DKIM-Signature", self._signer.signature(self._domain, lines, body)))
        return b"".join(b"%s: %s\r\n" % (name.encode(), value) for name, value in lines) + b"\r\n" + body


class _Envelope:
    """Who writes to whom, and that the text follows. Raises `Unsendable` if the recipient is no address."""

    def __init__(self, sender: str, recipient: str) -> None:
        self._sender, self.address = sender, _envelope_address(recipient)
        self._options = () if self.address.isascii() else ("SMTPUTF8", "BODY=8BITMIME")

    def may_be_said(self, smtp: smtplib.SMTP) -> bool:
        return not self._options or smtp.has_extn("smtputf8")

    def may_be_said_at_once(self, smtp: smtplib.SMTP) -> bool:
        """Whether the server takes several commands before it has answered the first (RFC 2920)."""
        return smtp.has_extn("pipelining") and self.may_be_said(smtp)

    def at_once(self) -> bytes:
        """MAIL, RCPT and DATA."""
        mail = " ".join([f"MAIL FROM:{smtplib.quoteaddr(self._sender)}", *self._options])
        return f"{mail}\r\nRCPT TO:{smtplib.quoteaddr(self.address)}\r\nDATA\r\n".encode()

    def say(self, smtp: smtplib.SMTP) -> list[_Answer]:
        """What the server answers to MAIL, RCPT and DATA, which are said at once where it allows that; less if it says no."""
        if not smtp.has_extn("pipelining"):
            return self._say_one_by_one(smtp)
        smtp.send(self.at_once())
        return self.answers(smtp)

    def answers(self, smtp: smtplib.SMTP) -> list[_Answer]:
        """What the server answers to what was said at once."""
        answers: list[_Answer] = []
        while len(answers) < len(_WANTED) and 421 not in dict(answers):  # after which it hangs up
            try:
                answers.append(smtp.getreply())
            except OSError:
                if not answers or _meaning(answers)[0] is None:
                    raise
                break  # it had said no before it hung up
        return answers

    def _say_one_by_one(self, smtp: smtplib.SMTP) -> list[_Answer]:
        answers = [smtp.mail(self._sender, self._options)]
        if answers[0][0] in _WANTED[0]:
            answers.append(smtp.rcpt(self.address))
            if answers[1][0] in _WANTED[1]:
                answers.append(smtp.docmd("DATA"))
        return answers


def _meaning(answers: list[_Answer]) -> tuple[Result | None, _Answer]:
    """What comes of a message by the answer that was not wanted; none, with the last answer, if all were."""
    for (code, reply), wanted in zip(answers, _WANTED, strict=False):
        if code not in wanted:  # what the server has against the sender is not for ever
            return "refused" if code >= 500 and wanted is not _WANTED[0] else "deferred", (code, reply)
    return None, answers[-1]


@cache
def _tls() -> ssl.SSLContext:
    """Made once: it reads all certificates of this machine, which takes as long as ten mails."""
    return ssl.create_default_context()


class Signer:
    """Signs mails (DKIM: RFC 6376, RFC 8463). dkimpy canonicalizes; its own RSA is in Python and would take 12 ms a mail."""

    def __init__(self, pem: str, selector: str) -> None:
        try:
            key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
            raise ValueError("NOTIFICATIONS_DKIM_KEY: a private key of RSA or Ed25519 in PEM is needed")  # noqa: TRY004
        self._key, self._selector = key, selector

    def signature(self, domain: str, headers: list[tuple[str, bytes]], body: bytes) -> bytes:
        """The value of the header DKIM-Signature for these headers and body, whose lines end in CRLF."""
        given = dict(headers)
        signed = [name for name in _SIGNED if name in given]
        fields = {
            "v": "1",
            "a": "rsa-sha256" if isinstance(self._key, rsa.RSAPrivateKey) else "ed25519-sha256",
            "c": "relaxed/relaxed",
            "d": domain,
            "s": self._selector,
            "t": str(int(now().timestamp())),
            "h": ":".join(
                ["From", *signed]
            ),  # named once more than it is there: a second From would break the signature
            "bh": b64encode(hashlib.sha256(Relaxed.canonicalize_body(body)).digest()).decode(),
        }
        own = "; ".join(f"{name}={value}" for name, value in fields.items()).encode() + b";\r\n b="
        # Of equal names the last one is meant first, so the surplus From stands for none.
        lines = [(name.encode(), given[name]) for name in signed] + [(b"DKIM-Signature", own)]
        hashed = b"".join(name + b":" + value for name, value in Relaxed.canonicalize_headers(lines)).removesuffix(
            b"\r\n"
        )
        if isinstance(self._key, rsa.RSAPrivateKey):
            sealed = self._key.sign(hashed, padding.PKCS1v15(), hashes.SHA256())
        else:
            sealed = self._key.sign(hashlib.sha256(hashed).digest())
        return own + b64encode(sealed)


Part = tuple[dict[str, str], bytes]
"""Headers and body of a part of a mail."""


def _text(kind: str, text: str) -> Part:
    crlf = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode(errors="replace")
    return {
        "Content-Type": f'text/{kind}; charset="utf-8"',
        "Content-Transfer-Encoding": "quoted-printable",
    }, b2a_qp(crlf).replace(b"=\r\n", b"=\n").replace(b"=\n", b"=\r\n")  # it breaks a text of one line by LF alone


def _file(file: Attached) -> Part:
    # Named so, no client takes the file for the invitation itself and shows it twice.
    kind = "application/ics" if _is_calendar(file) else one_line(file.media_type)
    name = one_line(file.name)
    named = f'="{quote(name)}"' if name.isascii() else f"*={encode_rfc2231(name, 'utf-8')}"
    return {
        "Content-Type": f"{kind}; name{named}",
        "Content-Disposition": f"attachment; filename{named}",
        "Content-Transfer-Encoding": "base64",
    }, _base64(file.content)


def _invitation(file: Attached) -> Part:
    """What clients offer to put into the calendar. Its type names the method that it holds itself (RFC 6047, section 2.4)."""
    method = re.search(rb"^METHOD:([A-Z-]+)\s*$", file.content, re.MULTILINE)
    named = method[1].decode() if method else "PUBLISH"
    return {
        "Content-Type": f'text/calendar; charset="utf-8"; method={named}',
        "Content-Transfer-Encoding": "base64",
    }, _base64(file.content)


def _is_calendar(file: Attached) -> bool:
    return file.media_type.partition(";")[0].strip().lower() == "text/calendar"


def _base64(content: bytes) -> bytes:
    return encodebytes(content).replace(b"\n", b"\r\n")


def _together(kind: str, parts: list[Part], mark: str) -> Part:
    """The parts as one; a single one as it is. Nothing that is encoded can hold the boundary, for `=_` is in none (RFC 2045, 6.7)."""
    if len(parts) == 1:
        return parts[0]
    boundary = f"=_{kind}_{mark}"
    pieces = []
    for headers, body in parts:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        pieces.append(f"--{boundary}\r\n{lines}\r\n".encode() + body + b"\r\n")
    return {"Content-Type": f'multipart/{kind}; boundary="{boundary}"'}, b"".join(
        pieces
    ) + f"--{boundary}--\r\n".encode()


def _envelope_address(recipient: str) -> str:
    """The address as the mail server is told it. Raises `Unsendable` if it is none."""
    name, _, domain = recipient.rpartition("@")
    try:
        if not name or one_line(recipient) != recipient or " " in recipient:
            raise ValueError(recipient)
        return Address(username=name, domain=domain.encode("idna").decode()).addr_spec
    except ValueError:
        raise Unsendable("address") from None


def _mailbox(name: str, address: str) -> str:
    name = one_line(name)
    return f'"{quote(name)}" <{address}>' if _is_plain(name) else f"{_encoded(name)} <{address}>"


def _encoded(text: str) -> str:
    """A header's text; in encoded words if it needs them, each of them whole characters and at most 75 long (RFC 2047, section 5)."""
    text = one_line(text)
    if _is_plain(text):
        return text
    words, word = [], b""
    for letter in text:
        if len(word + letter.encode()) > 45:
            words.append(word)
            word = b""
        word += letter.encode()
    return "\r\n ".join(f"=?utf-8?B?{b64encode(word).decode()}?=" for word in [*words, word])


def _is_plain(text: str) -> bool:
    return text.isascii() and "=?" not in text and len(text) < 900


def _what_broke(error: OSError, otherwise: str) -> str:
    if TimeoutError in (type(error), type(error.__context__)):  # smtplib hides one behind its own error
        return "no_answer"
    if isinstance(error, ssl.SSLError | smtplib.SMTPNotSupportedError):
        return "not_offered"
    return otherwise


def _bytes(reply: bytes | str) -> bytes:
    return reply if isinstance(reply, bytes) else reply.encode()


def _outcome(result: Result, code: int, reply: bytes | str, recipient: str) -> Outcome:
    """`code` of a refusal: what the enhanced status code (RFC 3463) means to us, or itself, or else the plain one."""
    words = _words(code, reply, recipient)
    if result == "accepted":
        return Outcome(result, words)
    found = re.match(r"\d{3} ([245]\.\d{1,3}\.\d{1,3})\b", words)
    enhanced = found[1] if found else str(code)
    if enhanced in ("4.2.2", "5.2.2"):
        enhanced = "full"
    elif enhanced == "4.7.1" or (code in (450, 451) and _GREYLISTING.search(words)):
        enhanced = "greylisted"
    return Outcome(result, words, enhanced)


def _words(code: int, reply: bytes | str, recipient: str) -> str:
    """The server's reply on one line, without the addresses it may repeat, nor the recipient's name in one."""
    text = one_line(_bytes(reply).decode(errors="replace"))
    text = re.sub(r"\S*@\S*", "…", text)
    name = recipient.rpartition("@")[0]
    if name.casefold() in text.casefold():  # to read the pattern takes as long as the rest of what is done with a reply
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return f"{code} {text}"[:500].strip()
