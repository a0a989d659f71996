"""Shapes of merges: side by side, chosen, confirmed, undone."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from tejido_shared.fields import PLAIN, Line, Strict
from tejido_shared.pages import PageQuery
from tejido_shared.problems import FieldError

Choice = Literal["survivor", "absorbed", "both"]
MergeStatus = Literal["proposed", "done", "undone", "refused"]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=PLAIN)]


class MergeIn(Strict):
    """That one organization is another. What is not chosen is as the preview proposes."""

    survivor_id: UUID = Field(description="Keeps its key and number")
    absorbed_id: UUID = Field(description="Lives on in the other; its key leads there")
    choices: dict[Line, Choice] = Field(
        default_factory=dict,
        description="Field, point, or identifiers.<scheme>: whose value stays; both for lists",
        max_length=60,
    )
    reason: Reason = Field(description="How it is known that they are one")


class ReasonIn(Strict):
    reason: Reason


class FieldOut(BaseModel):
    """One field of both, side by side."""

    field: str
    survivor: Any
    absorbed: Any
    differs: bool
    choice: Choice | None = Field(description="Whose value stays; none: it must be chosen")
    both: bool = Field(description="Whether the two can be put together")


class PreviewOut(BaseModel):
    """What a merge would do."""

    survivor_id: UUID
    survivor_number: str
    absorbed_id: UUID
    absorbed_number: str
    fields: list[FieldOut]
    moves: dict[str, int] = Field(description="Table: how many rows become the survivor's")
    stays: dict[str, int] = Field(description="Table: how many go on telling of the absorbed one")
    obstacles: list[FieldError] = Field(description="Why it cannot be done now; none if it can")


class KeptOut(BaseModel):
    """Something that could not be undone, since a person changed it after the merge."""

    what: str = Field(description="Table, or field of the survivor")
    why: Literal["gone", "elsewhere", "changed"]
    text: str


class MergeOut(BaseModel):
    id: UUID
    version: int
    status: MergeStatus
    survivor_id: UUID
    survivor_number: str
    survivor_name: str
    absorbed_id: UUID
    absorbed_number: str
    absorbed_name: str
    choices: dict[str, Choice]
    reason: str | None
    moved: dict[str, int] = Field(description="Table: how many rows moved")
    kept: list[KeptOut] = Field(description="What could not be undone")
    proposed_by: str
    proposed_at: AwareDatetime
    done_by: str | None
    done_at: AwareDatetime | None
    undo_until: str | None = Field(description="Last day on which it can be undone")
    undone_by: str | None
    undone_at: AwareDatetime | None
    preview: PreviewOut | None = Field(None, description="While it is proposed: what it would do")


class MergeQuery(PageQuery):
    status: MergeStatus | None = None
    organization_id: UUID | None = None
    sort: Literal["proposed_at", "-proposed_at"] = "-proposed_at"


class PreviewQuery(BaseModel):
    model_config = {"extra": "forbid"}

    survivor_id: UUID
    absorbed_id: UUID
