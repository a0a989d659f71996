"""How a use case says no. It knows nothing of HTTP; `problems` turns it into an answer."""

from collections.abc import Sequence
from typing import Any


class Refused(Exception):  # noqa: N818
    """Something that the rules, the law or the present state do not admit; nothing was changed.

    `code` names the reason in the service's catalogue: `problem.<code>.title` and `.detail`, or `field.<code>` where a `field` is to be
    corrected. `fields` are several such pairs of field and code. A field without a place before it is one of the body.
    """

    def __init__(
        self, code: str = "invalid", field: str | None = None, *, fields: Sequence[tuple[str, str]] = (), **params: Any
    ) -> None:
        super().__init__(code)
        self.code, self.params = code, params
        self.fields = [(field, code)] if field else list(fields)


class NotForThem(Refused):
    """Refused because of who asks, not of what."""
