"""Shapes of what comes in and goes out over HTTP."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from tejido_shared.fields import Line, Paragraphs, Strict
from tejido_shared.pages import PageQuery

Cost = Annotated[
    Decimal,
    Field(ge=0, max_digits=18, decimal_places=2, description="In the currency of the municipality's country"),
    AfterValidator(lambda cost: cost.quantize(Decimal("0.01"))),
]


class Point(Strict):
    """WGS 84, in degrees."""

    longitude: float = Field(ge=-180, le=180)
    latitude: float = Field(ge=-90, le=90)


class ProjectIn(Strict):
    """A project being presented. All of it becomes public: it holds no personal data."""

    organization_id: UUID = Field(description="The registered organization that presents it")
    title: Line
    need: Paragraphs = Field(description="What problem it answers")
    place: Line = Field(description="Where, in words")
    summary: Paragraphs | None = Field(None, description="What is to be done about it")
    locality: Line | None = Field(None, description="Localidad, comuna or district")
    point: Point | None = None
    estimated_cost: Cost | None = None
    stage: Line | None = Field(None, description="One of the initial stages of /v1/stages; the default one if left out")


class ProjectPatch(Strict):
    """What is to change; what is left out stays. Null empties a field, except title, need and place."""

    title: Line | None = None
    need: Paragraphs | None = None
    place: Line | None = None
    summary: Paragraphs | None = None
    locality: Line | None = None
    point: Point | None = None
    estimated_cost: Cost | None = None
    next_step: Line | None = Field(None, description="Only by the municipality; null: what the stage's own text says")
    next_step_on: date | None = Field(None, description="Only by the municipality; null: counted from the stage")

    @model_validator(mode="after")
    def _keep_what_is_needed(self) -> Self:
        for name in ("title", "need", "place"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise PydanticCustomError("missing", "Field required")
        return self


class StageChangeIn(Strict):
    to: Line = Field(description="Code of the stage to go to")
    reason: Paragraphs | None = Field(None, description="Why; public. /v1/stages says which steps demand it")
    seen: Line | None = Field(None, description="The stage you saw it in: 409 if somebody moved it meanwhile")


class ProjectSummary(BaseModel):
    """A project in the public inventory."""

    id: UUID
    version: int
    number: str
    title: str
    place: str
    locality: str | None
    point: Point | None
    estimated_cost: Decimal | None
    currency: str = Field(description="ISO 4217")
    organization_id: UUID = Field(description="Who presented it; if it was merged, the organization it lives on in")
    organization_name: str
    presented_at: AwareDatetime
    stage: str
    stage_name: str
    stage_since: AwareDatetime
    days_in_stage: int = Field(description="Calendar days, of the municipality's time zone")
    next_step: str
    next_step_on: date | None = Field(description="None in a final stage")


class StageEntryOut(BaseModel):
    from_stage: str | None = Field(description="None when it was presented")
    to_stage: str
    stage_name: str
    at: AwareDatetime
    reason: str | None
    author: str | None = Field(
        description="Subject of the account that took the step; shown to the municipality's people"
    )


class ProjectOut(ProjectSummary):
    """A project with its history."""

    need: str
    summary: str | None
    history: list[StageEntryOut]


class ProjectQuery(PageQuery):
    """Filters and order of the inventory."""

    stage: Line | None = None
    organization_id: UUID | None = None
    locality: Line | None = Field(None, description="Its whole name; accents and capitals do not matter")
    presented_from: date | None = Field(None, description="Presented on this day or after")
    presented_until: date | None = Field(None, description="Presented on this day or before")
    q: Line | None = Field(
        None,
        description="Words, or beginnings of words, of number, title, need, summary or place; all must occur, "
        "accents and capitals do not matter",
    )
    sort: Literal["presented_at", "-presented_at", "title", "-title"] = "-presented_at"


class StepOut(BaseModel):
    to: str
    to_name: str
    roles: list[str] = Field(description="Who may take it")
    reason_required: bool
    standing: str | None = Field(
        None, description="What the organization must be allowed to do that day: a purpose of the register"
    )


class StageOut(BaseModel):
    """A stage of a project and the steps out of it; a final stage has none."""

    code: str
    name: str
    initial: bool = Field(description="A project may be presented in it")
    editable: bool = Field(description="The organization may still change its project")
    next_step: str
    next_step_days: int | None = Field(description="Calendar days until the next step, unless a person sets a date")
    steps: list[StepOut]
