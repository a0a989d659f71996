"""Kinds of text that come in over HTTP. No control characters: PostgreSQL refuses NUL, and the rest only ever come by accident."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$"
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")
]
"""One line."""
Paragraphs = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000, pattern=PLAIN)]
"""A text of several lines."""


class Strict(BaseModel):
    """What comes in is what is known, or refused."""

    model_config = ConfigDict(extra="forbid")
