"""Shapes of what comes in and goes out over HTTP."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tejido_shared.pages import PageQuery

Sequence = Annotated[int, Field(ge=0, lt=2**63, description="Number of a message; later ones have higher numbers")]


class InAppMessageOut(BaseModel):
    """A message in one of the caller's boxes."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    sequence: Sequence
    box: str = Field(description="account:<subject>, office:<code> or head:<code>")
    about: UUID = Field(description="What it tells of, e.g. the request")
    title: str
    body: str
    at: AwareDatetime
    read_at: AwareDatetime | None = Field(description="Of an office's message: when the first of the office read it")


class InAppQuery(PageQuery):
    """Filters and order of the caller's messages."""

    unread: bool | None = Field(None, description="Only those that were not read, or only those that were")
    sort: Literal["sequence", "-sequence"] = "-sequence"


class UpTo(BaseModel):
    """The last message the caller has seen."""

    up_to: Sequence


class Unread(BaseModel):
    unread: int = Field(description="Messages that nobody has read yet")
