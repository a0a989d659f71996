"""The stages of a project and the steps between them: data, read from TOML and checked as a whole."""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from tomllib import TOMLDecodeError
from tomllib import loads as parse_toml

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tejido_shared import i18n
from tejido_shared.jurisdiction import Code, JurisdictionError, Role
from tejido_shared.problems import reason

PACKAGE = "tejido_projects"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Frozen):
    """A step out of a stage. `roles` may take it; with `reason`, only for a written reason.

    `standing` is what the organization must be allowed to do: a purpose of the municipality's registration.toml.
    """

    to: str
    roles: tuple[str, ...] = Field(min_length=1)
    reason: bool = False
    standing: str | None = None


class Stage(_Frozen):
    """`initial`: a project may be presented in it. `editable`: its organization may still change the project.

    `next_step_days` are the calendar days until the next step is due, unless a person sets a date. A stage without steps is the
    end and has none.
    """

    code: Code
    initial: bool = False
    editable: bool = False
    next_step_days: int | None = Field(None, ge=1)
    steps: tuple[Step, ...] = ()

    def step(self, to: str) -> Step | None:
        return next((step for step in self.steps if step.to == to), None)


class StageTable(_Frozen):
    """All stages. `default` is where a project starts when nobody says otherwise."""

    default: str
    stages: tuple[Stage, ...] = Field(alias="stage", min_length=1)

    @cached_property
    def by_code(self) -> dict[str, Stage]:
        return {stage.code: stage for stage in self.stages}


def read(toml: str) -> StageTable:
    """The table in this text. Raises `JurisdictionError` with every fault found: where and why."""
    try:
        table = StageTable.model_validate(parse_toml(toml))
    except TOMLDecodeError as error:
        faults = [str(error)]
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {reason(dict(fault))}" for fault in error.errors()]
    else:
        faults = list(_faults(table))
        if not faults:
            return table
    raise JurisdictionError(i18n.text(PACKAGE, "stages.unusable"), faults)


def _faults(table: StageTable) -> Iterator[str]:
    def fault(code: str, stage: str, **params: str) -> str:
        return i18n.text(PACKAGE, f"stages.{code}", stage=stage, **params)

    for code, count in Counter(stage.code for stage in table.stages).items():
        if count > 1:
            yield fault("repeated_stage", code)
    if table.default not in table.by_code or not table.by_code[table.default].initial:
        yield fault("default_not_initial", table.default)
    for stage in table.stages:
        if bool(stage.steps) != (stage.next_step_days is not None):
            yield fault("next_step_days", stage.code)
        for to, count in Counter(step.to for step in stage.steps).items():
            if to not in table.by_code:
                yield fault("unknown_stage", stage.code, to=to)
            if count > 1 or to == stage.code:
                yield fault("repeated_step", stage.code, to=to)
        for step in stage.steps:
            for role in step.roles:
                if role not in set(Role):
                    yield fault("unknown_role", stage.code, to=step.to, role=role)
    reached, ahead = set[str](), [stage.code for stage in table.stages if stage.initial]
    while ahead:
        code = ahead.pop()
        if code in table.by_code and code not in reached:
            reached.add(code)
            ahead += [step.to for step in table.by_code[code].steps]
    for stage in table.stages:
        if stage.code not in reached:
            yield fault("unreachable_stage", stage.code)
