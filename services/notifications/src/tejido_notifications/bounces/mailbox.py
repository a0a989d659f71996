"""The mailbox that bounces come back to, by IMAP or POP3 over TLS. What is not deleted stays as it was, unread."""

import imaplib
import poplib
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, urlsplit

LARGEST = 262_144
"""Bytes of a mail that are read: the report comes before the message that it returns."""
_LINES = 3000
TIMEOUT = 30.0
AWAY = (OSError, EOFError, imaplib.IMAP4.error, poplib.error_proto)
"""What a mailbox raises that does not answer, lets us not in, or does not keep to its protocol."""


class Mailbox(Protocol):
    def names(self) -> list[str]:
        """Of all mails in it: what each is called for ever, and by nobody else."""
        ...

    def read(self, name: str) -> bytes:
        """A mail, or its beginning."""
        ...

    def delete(self, name: str) -> None:
        """Takes the mail out; it is certain only when the mailbox was closed well."""
        ...


@dataclass(frozen=True)
class Where:
    """A mailbox's address. It holds a password: never log it."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    folder: str


def where(url: str) -> Where:
    """Takes `imaps://user:password@host:port/folder`, or `pop3s://…`, apart. Raises `ValueError` without saying it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not an address of a mailbox") from None
    ports = {"imaps": 993, "pop3s": 995}
    if parts.scheme not in ports or not parts.hostname or not parts.username:
        raise ValueError("not an address of a mailbox")
    return Where(
        parts.scheme,
        parts.hostname,
        port or ports[parts.scheme],
        unquote(parts.username),
        unquote(parts.password or ""),
        unquote(parts.path.strip("/")) or "INBOX",
    )


@contextmanager
def opened(at: Where) -> Iterator[Mailbox]:
    """The mailbox, until the block ends. Raises one of `AWAY`, there and within."""
    tls = ssl.create_default_context()
    with _imap(at, tls) if at.scheme == "imaps" else _pop3(at, tls) as mailbox:
        yield mailbox


class _Imap:
    def __init__(self, imap: imaplib.IMAP4_SSL, validity: str) -> None:
        self._imap, self._validity = imap, validity
        self._may_expunge = b"UIDPLUS" in (imap.capability()[1][0] or b"").upper().split()

    def names(self) -> list[str]:
        found = self._ask("search", "UNDELETED")[0]
        return [f"{self._validity} {uid.decode()}" for uid in (found.split() if isinstance(found, bytes) else ())]

    def read(self, name: str) -> bytes:
        for part in self._ask("fetch", self._uid(name), f"(BODY.PEEK[]<0.{LARGEST}>)"):
            if isinstance(part, tuple):
                return bytes(part[1])
        return b""  # somebody else took it out

    def delete(self, name: str) -> None:
        uid = self._uid(name)
        self._ask("store", uid, "+FLAGS.SILENT", r"(\Deleted)")
        # Without UIDPLUS (RFC 4315) it is only marked: a bare EXPUNGE would take out what others have marked too.
        if self._may_expunge:
            self._ask("expunge", uid)

    def _uid(self, name: str) -> str:
        return name.rpartition(" ")[2]

    def _ask(self, command: str, *args: str) -> list[bytes | tuple[bytes, bytes]]:
        result, answer = self._imap.uid(command, *args)
        if result != "OK":
            raise imaplib.IMAP4.error(command)
        return list(answer)


@contextmanager
def _imap(at: Where, tls: ssl.SSLContext) -> Iterator[Mailbox]:
    imap = imaplib.IMAP4_SSL(at.host, at.port, ssl_context=tls, timeout=TIMEOUT)
    try:
        imap.login(at.user, at.password)
        folder = at.folder.replace("\\", r"\\").replace('"', r"\"")
        if imap.select(f'"{folder}"')[0] != "OK":
            raise imaplib.IMAP4.error("select")
        validity = (imap.response("UIDVALIDITY")[1] or [b""])[0] or b""
        yield _Imap(imap, validity.decode())
    finally:
        with suppress(*AWAY):
            imap.logout()


class _Pop3:
    def __init__(self, pop3: poplib.POP3_SSL) -> None:
        self._pop3 = pop3
        self._numbers: dict[str, int] = {}

    def names(self) -> list[str]:
        listed = (re.fullmatch(r"(\d+) (\S+)", line.decode(errors="replace")) for line in self._pop3.uidl()[1])
        self._numbers = {match[2]: int(match[1]) for match in listed if match}
        return list(self._numbers)

    def read(self, name: str) -> bytes:
        return b"\r\n".join(self._pop3.top(self._numbers[name], _LINES)[1])[:LARGEST]

    def delete(self, name: str) -> None:
        self._pop3.dele(self._numbers[name])


@contextmanager
def _pop3(at: Where, tls: ssl.SSLContext) -> Iterator[Mailbox]:
    """What was deleted is gone only after QUIT, which is said also when the block fails: whatever it deleted was on record by then."""
    pop3 = poplib.POP3_SSL(at.host, at.port, timeout=TIMEOUT, context=tls)
    try:
        pop3.user(at.user)
        pop3.pass_(at.password)
        yield _Pop3(pop3)
        pop3.quit()
    except BaseException:
        with suppress(*AWAY):
            pop3.quit()
        raise
    finally:
        pop3.close()
