"""Shapes of what may be entered twice."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from tejido_shared.fields import PLAIN, Strict
from tejido_shared.pages import PageQuery

PairStatus = Literal["pending", "different", "merged"]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=PLAIN)]


class Side(BaseModel):
    """One of the two, as far as it helps to tell."""

    id: UUID
    number: str
    name: str
    public_name: str | None
    other_names: list[Any]
    organization_type: str
    registration_status: str
    legal_status: str | None
    identifiers: list[str] = Field(description="Scheme and number")
    address: str | None
    locality: str | None
    territory: str | None
    neighborhood: str | None
    latitude: float | None
    longitude: float | None
    registered_at: AwareDatetime


class Signal(BaseModel):
    """Something that speaks for their being one, or against it."""

    code: str
    weight: float = Field(description="Above zero for, below against: what it adds to the logarithm of the odds")
    text: str = Field(description="For a person")


class PairOut(BaseModel):
    """Two organizations that may be one."""

    id: UUID
    status: PairStatus
    score: float = Field(description="0 to 1: how likely they are one")
    signals: list[Signal] = Field(description="The strongest first")
    first: Side
    second: Side
    found_at: AwareDatetime
    decided_by: str | None
    decided_at: AwareDatetime | None
    reason: str | None


class PairQuery(PageQuery):
    status: PairStatus = "pending"
    organization_id: UUID | None = Field(None, description="Only pairs with this one")
    sort: Literal["-score", "score", "-found_at", "found_at"] = "-score"


class DifferentIn(Strict):
    reason: Reason | None = Field(None, description="Why they are two; for the next who wonders")


class FiguresOut(BaseModel):
    """How far the search for duplicates is, and what became of what it found."""

    pending: int
    different: int
    merged: int
    by_score: dict[str, int] = Field(description="Pending pairs: from 0.5, 0.7, 0.9 and 0.97 on")
    to_compare: int = Field(description="Organizations that are new, or have changed, since they were last compared")


class ScanOut(BaseModel):
    to_compare: int
