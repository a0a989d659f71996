"""What is said over one line of a channel, one message after another, and what is written down of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa
import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy.orm import Session

from tejido_notifications.channels import Channel, Line, Message, Outcome
from tejido_notifications.db import tx
from tejido_notifications.delivery import composing, service, statements
from tejido_notifications.delivery.senders import Sender
from tejido_notifications.letters.writing import Letter, Unsendable
from tejido_shared import telemetry

log = structlog.get_logger()
WRITE_DOWN = 45.0
"""Seconds that a sender tries to write down what came of a message while the database is away."""


@dataclass(frozen=True)
class Composed:
    """A message as the line is given it; or what comes of one that cannot be made."""

    claimed: service.Claimed
    message: Message | Outcome


@dataclass(frozen=True)
class Attempted:
    """What came of an attempt to send a message. `letter`: what was offered."""

    claimed: service.Claimed
    outcome: Outcome
    letter: Letter | None


class Talk:
    """Takes message after message of a channel and says them over a line, as the sender `us`, `until` an instant on `time.monotonic`.

    Together with the end of a message is said who the following one is for. While PostgreSQL writes down what came of the first, the
    following one is said but for its end, and the one after it is composed. The end is said only once that is on record, and that this
    one is being sent: whenever this process ends, of one message of the line at most nobody can know whether it was sent.
    """

    def __init__(self, name: str, channel: Channel, line: Line, us: Sender, until: float) -> None:
        self._name, self._rate, self._line, self._us, self._until = name, channel.rate, line, us, until
        self._statement = statements.HandOver(us.connection)
        self._ahead = service.Ahead(channel.slots)
        self._last: Attempted | None = None  # what came of it is not on record yet
        self._coming: Composed | None = None
        self._expecting = False  # the other side may have been told that another message follows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last is not None:
            _write_down(self._last)

    def goes_on(self) -> bool:
        """Whether there is time left, or a message to follow, and we are still who we were."""
        return self._us.held() and (self._expecting or time.monotonic() < self._until)

    def next(self) -> Composed | None:
        """The message whose turn it is, none if there is none. In one transaction with what came of the last, for a commit is what takes
        longest."""
        last, self._last = self._last, None
        self._expecting = False
        try:
            if last is not None and service.may_hand_over(
                last.claimed, last.outcome, self._rate, self._ahead, self._us.number
            ):
                composed = self._hand_over(last)
                if composed is not None:
                    return composed
                last = None
            with tx() as session:
                if last is not None:
                    _record(session, last)
                claimed = service.claim(session, self._name, self._us.number, self._rate, self._ahead)
        except Exception:
            if last is None:
                raise
            _write_down(last)  # whatever went wrong with the next one
            # A number that was lost may be another sender's by now, who would think dead whatever is taken under it.
            return self.next() if self._us.held() else None
        return self._composed(claimed) if claimed is not None else None

    def send(self, composed: Composed) -> bool:
        """Says a message. Returns whether the other side is there to say more to."""
        if isinstance(composed.message, Message):
            with suppress(Exception):  # what fails here is raised when its turn comes
                self._expect()
        self._last = attempt(self._line, composed)
        return self._line.usable or self._last.outcome.result == "unsendable"

    def _expect(self) -> None:
        another = self._rate is None and time.monotonic() < self._until
        following = self._ahead.following(self._us.number) if another else None
        self._expecting = following is not None
        if following is not None:
            self._coming = self._composed(following)
            if isinstance(self._coming.message, Message):
                self._line.expect(self._coming.message)

    def _hand_over(self, last: Attempted) -> Composed | None:
        """What `next` does, in one statement."""
        composed = self._composed(self._ahead.seen.popleft())
        with _recording(last.claimed):
            service.begin_hand_over(
                self._statement, last.claimed, last.outcome, last.letter, composed.claimed, self._us.number
            )
            with suppress(Exception):  # what fails here is raised when its turn comes
                if self._ahead.seen:
                    self._coming = compose(self._ahead.seen[0])
                if isinstance(composed.message, Message):
                    self._line.announce(composed.message)
            recorded, taken = self._statement.end()
        if not recorded:
            _write_down(last)
        return composed if taken else None

    def _composed(self, claimed: service.Claimed) -> Composed:
        coming, self._coming = self._coming, None
        return coming if coming is not None and coming.claimed is claimed else compose(claimed)


def compose(claimed: service.Claimed) -> Composed:
    with service.caused_by(claimed), telemetry.span(f"compose {claimed.template}", parent=claimed.traceparent):
        try:
            return Composed(claimed, composing.message(claimed))
        except Unsendable as error:
            return Composed(claimed, _unsendable(error))


def attempt(line: Line, composed: Composed) -> Attempted:
    claimed, message = composed.claimed, composed.message
    with (
        service.caused_by(claimed),
        telemetry.span(f"send {claimed.template}", SpanKind.CLIENT, claimed.traceparent),
    ):
        letter: Letter | None = None
        if isinstance(message, Outcome):
            outcome = message
        else:
            try:
                outcome, letter = line.send(message), message.letter
            except Unsendable as error:
                outcome = _unsendable(error)
        log.info(
            "message_attempted",
            delivery_id=str(claimed.id),
            channel=claimed.channel,
            template=claimed.template,
            outcome=outcome.result,
            why=outcome.code,
        )
    return Attempted(claimed, outcome, letter)


def _unsendable(error: Unsendable) -> Outcome:
    return Outcome("unsendable", service.text(error.code, **error.params), error.code)


def _record(session: Session, attempted: Attempted) -> None:
    with _recording(attempted.claimed):
        service.record(session, attempted.claimed, attempted.outcome, attempted.letter)


@contextmanager
def _recording(claimed: service.Claimed) -> Iterator[None]:
    with service.caused_by(claimed), telemetry.span(f"record {claimed.template}", parent=claimed.traceparent):
        yield


def _write_down(attempted: Attempted) -> None:
    """What came of it must not be lost to a database that is started anew meanwhile, or the message would be sent twice."""
    until = time.monotonic() + WRITE_DOWN
    while True:
        try:
            with tx() as session:
                _record(session, attempted)
        except (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.TimeoutError):
            if time.monotonic() > until:
                raise
            log.info("outcome_waits", delivery_id=str(attempted.claimed.id))
            time.sleep(0.5)
        else:
            return
