"""Shapes of what comes in and goes out over HTTP."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from tejido_notifications.bounces.reports import Kind
from tejido_shared.fields import PLAIN, Strict


class BounceIn(Strict):
    """What became of one message, as the mail provider knows it. One of `message_id` and `recipient` is needed."""

    message_id: Annotated[str, StringConstraints(strip_whitespace=True, max_length=998, pattern=PLAIN)] | None = Field(
        None, description="Message-ID of our mail, with or without <>"
    )
    recipient: (
        Annotated[
            str, StringConstraints(strip_whitespace=True, min_length=3, max_length=320, pattern=r"^[^\s@]+@[^\s@]+$")
        ]
        | None
    ) = None
    kind: Kind = Field(
        description="permanent: nobody is there; transient: it is tried again; complaint: it was called spam"
    )
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000, pattern=PLAIN)] = Field(
        "", description="The other server's words; addresses in them are not kept"
    )


class BouncesOut(BaseModel):
    handled: int = Field(description="Of these reports, how many changed something")
