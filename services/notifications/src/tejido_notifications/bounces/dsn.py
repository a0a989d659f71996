"""Delivery status notifications (RFC 3464) as mail servers write them, well or badly. No I/O."""

import email
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from uuid import UUID

from tejido_notifications.bounces.reports import Report, words

_STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_PARTS = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global-headers",
)
"""RFC 3462 and, for addresses beyond ASCII, RFC 6533; `message/rfc822-headers` is nobody's standard and is sent."""
_MESSAGE_ID = re.compile(r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@", re.IGNORECASE)
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_NOT_THE_ADDRESS = ("4.", "5.2.2", "5.2.3", "5.3.", "5.5.", "5.6.", "5.7.")
"""Failures (RFC 3463) of the moment, of the server or of what was sent. Whether 5.4 is of the address is said differently: Exchange
uses 5.4.1 for a mailbox that does not exist."""


def read(raw: bytes) -> Report | None:
    """The report on one of our messages that a mail holds; none if it holds none, or does not say on which. Takes anything."""
    try:
        return _read(raw)
    except Exception:  # noqa: BLE001 - a stranger's mail may break the parser in any way
        return None


def _read(raw: bytes) -> Report | None:
    mail = email.message_from_bytes(raw)
    if mail.get_content_type() != "multipart/report" or not mail.is_multipart():
        return None
    status = next((part for part in _parts(mail) if part.get_content_type() in _STATUS_PARTS), None)
    if status is None:
        return None
    delivery_id = _ours(mail)
    blocks = [block for block in _blocks(status) if block.get("Action")]
    if delivery_id is None or not blocks:
        return None
    block = next((block for block in blocks if _action(block) == "failed"), blocks[0])
    code, diagnosis = _code(block), _text(block, "Diagnostic-Code")
    final, first = (_address(_text(block, f"{which}-Recipient")) for which in ("Final", "Original"))
    said = diagnosis if code in diagnosis else f"{code} {diagnosis}"
    return Report(
        delivery_id=delivery_id,
        recipient=first or final or None,
        kind="permanent" if _action(block) == "failed" else "transient",
        reason=words(said, final, first),
        of_address=not code.startswith(_NOT_THE_ADDRESS),
    )


def _parts(mail: Message) -> Iterator[Message]:
    """The report's own parts, not those of the message that came back."""
    payload = mail.get_payload()
    for part in payload if isinstance(payload, list) else []:
        if isinstance(part, Message):
            yield part
            if part.get_content_maintype() == "multipart":
                yield from _parts(part)


def _ours(mail: Message) -> UUID | None:
    """The id of our message: from its own headers, which come back with it, or else from what the report says it answers."""
    for part in _parts(mail):
        if part.get_content_type() in _RETURNED_PARTS:
            found = _MESSAGE_ID.search(_text(_returned(part), "Message-ID"))
            if found:
                return UUID(found[1])
    found = _MESSAGE_ID.search(f"{_text(mail, 'In-Reply-To')} {_text(mail, 'References')}")
    return UUID(found[1]) if found else None


def _returned(part: Message) -> Message:
    payload = part.get_payload()
    if isinstance(payload, list) and payload and isinstance(payload[0], Message):
        return payload[0]
    return HeaderParser().parsestr(_content(part).lstrip())


def _blocks(status: Message) -> Iterator[Message]:
    """Groups of fields: the first of the message, each other one of a recipient. Python takes them apart if the type is the old one."""
    payload = status.get_payload()
    groups = payload if isinstance(payload, list) else [HeaderParser().parsestr(_content(status).strip())]
    for group in groups:
        if not isinstance(group, Message):
            continue
        yield group
        rest = group.get_payload()
        while isinstance(rest, str) and rest.strip():
            further = HeaderParser().parsestr(rest.strip())
            yield further
            rest = further.get_payload() if further.keys() else ""


def _content(part: Message) -> str:
    content = part.get_payload(decode=True)
    return content.decode(errors="replace") if isinstance(content, bytes) else ""


def _text(message: Message, name: str) -> str:
    return str(message.get(name, ""))


def _action(block: Message) -> str:
    return _text(block, "Action").partition("(")[0].strip().lower()


def _code(block: Message) -> str:
    """The enhanced status. Where it only says that something failed (Exim: 5.0.0), what the other server said, if it said more."""
    found = [_STATUS.search(_text(block, name)) for name in ("Status", "Diagnostic-Code")]
    codes = [".".join(match.groups()) for match in found if match]
    return next((code for code in codes if not code.endswith(".0.0")), codes[0] if codes else "5.0.0")


def _address(typed: str) -> str:
    """Of `rfc822; ana@correo.example`, the address."""
    return typed.rpartition(";")[2].strip().strip("<>")
