"""Shapes of imports: the mapping, what came of it, what is proposed, and jobs that run on."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from tejido_shared.fields import Line, Strict
from tejido_shared.pages import PageQuery

ImportField = Literal[
    "name",
    "public_name",
    "other_names",
    "organization_type",
    "registration_status",
    "legal_status",
    "address",
    "locality",
    "territory",
    "area",
    "neighborhood",
    "latitude",
    "longitude",
    "purpose",
    "founded_on",
    "website",
    "themes",
    "populations",
    "contact_name",
    "contact_post",
    "email",
    "phone",
]
JobStatus = Literal["waiting", "running", "done", "failed", "cancelled"]


class ImportMapping(Strict):
    """How another register's columns become ours."""

    columns: dict[ImportField, Line] = Field(description="Our field: their column", min_length=1)
    identifiers: dict[Line, Line] = Field(default_factory=dict, description="Identifier scheme: their column")
    check_digits: dict[Line, Line] = Field(
        default_factory=dict, description="Identifier scheme: their column of the check digit, where it has one"
    )
    constants: dict[ImportField, Line] = Field(
        default_factory=dict, description="Our field: what every row has; and what a row has whose cell is empty"
    )
    key: list[Line] = Field(
        default_factory=list,
        max_length=5,
        description="Their columns that tell two organizations apart; name, address and locality when none is named",
    )
    only: dict[Line, Line] = Field(
        default_factory=dict, description="Their column: the value of the rows to import; all rows when none is named"
    )


class RowProblem(BaseModel):
    """One thing to look at in one row of the file."""

    row: int = Field(description="As a spreadsheet counts: the column names are row 1")
    field: str
    code: str
    reason: str
    severity: Literal["error", "warning"] = Field(description="A row with an error is not imported")


class Counts(BaseModel):
    """What became of the rows, each of which counts once."""

    created: int = 0
    changed: int = 0
    unchanged: int = Field(0, description="Already here as the file says; no event tells of them")
    repeated: int = Field(0, description="Rows that say the same as an earlier row of the file")
    rejected: int = 0


class ImportOut(Counts):
    """What an import did, or would do."""

    source: str
    applied: bool = Field(description="False for a dry run, and where all or nothing was asked and a row was rejected")
    rows: int = Field(description="Rows read that the mapping's `only` lets through")
    problems: list[RowProblem]


class ColumnGuess(BaseModel):
    """What a column seems to be."""

    column: str
    field: str | None = Field(
        None, description="Our field, identifiers.<scheme>, check_digits.<scheme> or key; none if nothing fits"
    )
    sure: bool = Field(description="False: look at it before the mapping is used")
    samples: list[str] = Field(description="Some of its cells")


class GuessOut(BaseModel):
    """A mapping to start from. What is in `missing` must be given before it can be used."""

    columns: list[ColumnGuess]
    mapping: dict[str, Any] = Field(description="As the import takes it")
    missing: list[str] = Field(description="name, organization_type: without them nothing can be imported")
    rows: int
    sample_rows: list[dict[str, str]] = Field(description="The first rows, by column")
    saved: ImportMapping | None = Field(None, description="How this source was read the last time, if it still fits")


class SavedMappingOut(BaseModel):
    source: str
    mapping: ImportMapping
    saved_by: str | None
    saved_at: AwareDatetime


class ImportJobOut(BaseModel):
    """An import that runs in the background."""

    id: UUID
    version: int
    source: str
    status: JobStatus
    dry_run: bool
    all_or_nothing: bool
    rows: int | None = Field(description="Rows of the file; none until it was read")
    done: int = Field(description="Rows that are dealt with")
    counts: Counts
    applied: bool = Field(description="Whether anything was, or could have been, written")
    problems: int = Field(description="How many there are to look at, under /problems")
    error: str | None = Field(description="Code of why the whole failed")
    reason: str | None = Field(description="The same, for a person")
    created_by: str
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


class ImportJobQuery(PageQuery):
    status: JobStatus | None = None
    sort: Literal["created_at", "-created_at"] = "-created_at"


class ProblemQuery(PageQuery):
    severity: Literal["error", "warning"] | None = None
    sort: Literal["row", "-row"] = "row"


Source = Annotated[Line, Field(description="Name of the register; a second run knows its rows again by it")]
