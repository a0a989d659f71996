"""What a report on a message says, from wherever it came."""

import re
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from tejido_notifications.letters.writing import one_line

Kind = Literal["permanent", "transient", "complaint"]
LONGEST = 500


@dataclass(frozen=True)
class Report:
    """`reason` holds no addresses. `recipient`: who did not get it, by this report; behind an alias that may be one of many.

    `of_address`: whether, if it is permanent, nobody is reached there with any other message either.
    """

    delivery_id: UUID | None
    recipient: str | None
    kind: Kind
    reason: str
    of_address: bool = True


def words(text: str, *recipients: str | None) -> str:
    """The other side's words on one line, without the addresses they may repeat, nor the names in those of the recipients."""
    text = re.sub(r"\S*@\S*", "…", one_line(text[: 10 * LONGEST]))
    for recipient in recipients:
        if name := (recipient or "").rpartition("@")[0]:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return text[:LONGEST].strip()
