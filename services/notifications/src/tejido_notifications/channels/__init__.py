"""Ways to a person: each channel takes a message and says what came of it.

A channel is a kind of line with its settings. Adding one is a module here with a class of that shape and a line in `configured.py`.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol
from uuid import UUID

from tejido_notifications.letters.writing import Letter

Result = Literal["accepted", "deferred", "refused", "unknown", "unsendable"]


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt. `reply` is the server's words without addresses; when it had none, `code` names what went wrong.

    `deferred` and `unknown` are tried again; `unknown`: the line broke after the message began, and the server may have taken it.
    `refused` is the final no to this recipient or this message. `wait`: seconds the other side asked to be left alone.
    """

    result: Result
    reply: str = ""
    code: str | None = None
    wait: float | None = None


@dataclass(frozen=True)
class Attached:
    """A file that goes with a message."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Message:
    """What a line is given. `id` is the delivery's, and the same at every attempt: a second copy can be known for one.

    `headers` are further ones of a mail. `recipient` is what the channel calls an address; `recipient_key`, which of several of one
    audience.
    """

    id: UUID
    recipient: str
    letter: Letter
    headers: Mapping[str, str] = field(default_factory=dict)
    attached: tuple[Attached, ...] = ()
    about: UUID | None = None
    recipient_key: str = ""
    occurred_at: datetime | None = None


class Line(Protocol):
    """What a sender speaks over, kept for many messages. `usable`: whether the other side is not in trouble as a whole."""

    @property
    def usable(self) -> bool: ...

    def expect(self, message: Message) -> None:  # noqa: ARG002 - for channels that know the step
        """Says, before `send`, which message will probably be announced or sent after that one. Nothing of it need be said."""
        return

    def announce(self, message: Message) -> None:  # noqa: ARG002 - for channels that know the step
        """Tells the other side as much of the next message as does not send it yet, for that is not certain: `send` is given it, or
        another one. Nothing where the channel knows no such step."""
        return

    def send(self, message: Message) -> Outcome:
        """Offers one message. Raises `letters.writing.Unsendable` for what can never be sent."""
        ...


class Channel(Protocol):
    """`slots`: how many lines at once over all workers. `rate`: most messages a second; none for no limit."""

    slots: int
    rate: float | None

    def open(self) -> AbstractContextManager[Line]:
        """A line. Nothing is spoken before the first message."""
        ...


def retry_after(said: str) -> float | None:
    """Seconds that a header Retry-After asks for, from seconds or a date (RFC 9110, section 10.2.3); none for what is neither."""
    if said.isdecimal() and len(said) < 9:
        return float(said)
    try:
        at = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - time.time())
