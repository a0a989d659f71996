"""Messages in the application itself. The recipient is a box: `account:<subject>`, `office:<code>` or `head:<code>`."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from tejido_notifications.channels import Line, Message, Outcome
from tejido_notifications.db import tx
from tejido_notifications.in_app import service
from tejido_notifications.letters.writing import Unsendable


class InAppChannel:
    """Its other side is our own database."""

    slots: int = 1
    rate: float | None = None

    @contextmanager
    def open(self) -> Iterator["_Line"]:
        yield _Line()


class _Line(Line):
    usable = True

    def send(self, message: Message) -> Outcome:
        """Puts one message into its box, once however often it is asked. Raises `Unsendable` for no box."""
        if not service.is_box(message.recipient):
            raise Unsendable("address")
        try:
            with tx() as session:
                service.put(
                    session,
                    message.id,
                    box=message.recipient,
                    about=message.about or message.id,
                    title=message.letter.subject,
                    body=message.letter.body,
                )
        except OperationalError:
            return Outcome("unknown", code="dropped")
        return Outcome("accepted", code="in_box")
