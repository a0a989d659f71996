"""Shapes of what comes in and goes out over HTTP, and of an import's mapping."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, EmailStr, Field, StringConstraints

from tejido_shared.fields import PLAIN, Line, Strict
from tejido_shared.pages import PageQuery
from tejido_shared.problems import FieldError

Status = Literal[
    "draft",
    "submitted",
    "in_review",
    "needs_correction",
    "registered",
    "inactive",
    "suspended",
    "rejected",
    "withdrawn",
    "cancelled",
]
# No control characters: PostgreSQL refuses NUL, and the rest only ever come by accident.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=PLAIN)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False, strict=True)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False, strict=True)]


class IdentifierIn(Strict):
    scheme: Line = Field(description="Code of the identifier's register, e.g. CO-NIT, AR-CUIT")
    value: Line = Field(description="The number; a NIT without its check digit")
    check_digit: Annotated[str, Field(pattern="^[0-9]$")] | None = Field(
        None, description="Check digit (DV) of a NIT: asked for, never inferred"
    )


class ContactIn(Strict):
    """Personal data: encrypted at rest, in no event, log or public answer."""

    name: Line | None = None
    post: Line | None = Field(None, description="What the person is in the organization")
    email: EmailStr | None = Field(None, max_length=254)
    phone: Line | None = Field(None, description="Stored in international form")


class OrganizationIn(Strict):
    """An organization as the registrar enters it, with or without legal personality."""

    name: Name = Field(description="Legal or usual name")
    public_name: Name | None = Field(None, description="Name or acronym the public knows it by")
    other_names: list[Name] = Field(
        default_factory=list, max_length=20, description="Former names, spellings, acronyms"
    )
    organization_type: Line = Field(description="Code from /v1/organization-types")
    identifiers: list[IdentifierIn] = Field(default_factory=list, max_length=20)
    contacts: list[ContactIn] = Field(default_factory=list, max_length=20)
    address: Name | None = None
    locality: Line | None = Field(None, description="Town or village")
    territory: Line | None = Field(None, description="District, localidad or barrio within it")
    latitude: Latitude | None = Field(None, description="Degrees, WGS 84; with longitude or not at all")
    longitude: Longitude | None = Field(None, description="Degrees, WGS 84")
    registration_status: Literal["draft", "submitted", "registered"] = "registered"


class OrganizationPatch(Strict):
    """What to change; what is left out stays. Lists are replaced whole. A representative may change `contacts` only."""

    # A factory as default: may be left out, may not be null.
    name: Name = Field(default_factory=str)
    public_name: Name | None = None
    other_names: list[Name] = Field(default_factory=list, max_length=20)
    organization_type: Line = Field(default_factory=str)
    identifiers: list[IdentifierIn] = Field(default_factory=list, max_length=20)
    contacts: list[ContactIn] = Field(default_factory=list, max_length=20)
    address: Name | None = None
    locality: Line | None = None
    territory: Line | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None


class StatusIn(Strict):
    """An act of the registrar. Its reason stays in the history, for officials."""

    status: Status
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=PLAIN)]


class IdentifierOut(BaseModel):
    scheme: str
    value: str
    check_digit: str | None


class ContactOut(BaseModel):
    name: str | None
    post: str | None
    email: str | None
    phone: str | None


class OrganizationSummary(BaseModel):
    """What anybody may see of an organization. A person's tax number among the identifiers is for officials only."""

    id: UUID
    version: int
    number: str = Field(description="Number in this register")
    name: str
    public_name: str | None
    other_names: list[Any]
    organization_type: str
    identifiers: list[IdentifierOut]
    address: str | None
    locality: str | None
    territory: str | None
    latitude: float | None
    longitude: float | None
    registration_status: Status
    registered_at: AwareDatetime


class OrganizationOut(OrganizationSummary):
    """One organization; the contacts only for officials and its own representative."""

    contacts: list[ContactOut] | None = Field(None, description="Absent for the public")
    warnings: list[FieldError] = Field(default_factory=list, description="What officials should look at again")


class OrganizationQuery(PageQuery):
    """Filters and order of the list of organizations."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)] | None = Field(
        None,
        description="Words, or beginnings of words, of its names; its number; or the number another register gave it. "
        "Accents and capitals do not matter",
    )
    organization_type: Line | None = None
    registration_status: Status | None = None
    locality: Line | None = Field(None, description="Accents and capitals do not matter")
    territory: Line | None = Field(None, description="Accents and capitals do not matter")
    bbox: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="Only those with a point in it: west,south,east,north in degrees"
    )
    sort: Literal["name", "-name", "registered_at", "-registered_at"] = "name"


class HistoryOut(BaseModel):
    at: AwareDatetime
    kind: str
    what: str = Field(description="What happened, for a person")
    author: str | None
    reason: str | None
    details: dict[str, Any]


class HistoryQuery(PageQuery):
    sort: Literal["at", "-at"] = "at"


class IdentifierSchemeOut(BaseModel):
    code: str
    name: str
    unique: bool = Field(description="No two organizations may have the same number")


class OrganizationTypeOut(BaseModel):
    code: str
    name: str
    description: str
    grade: int | None = Field(description="Level of a communal body, 1 to 4; none for all others")
    identifier_schemes: list[IdentifierSchemeOut]


# Imports

ImportField = Literal[
    "name",
    "public_name",
    "other_names",
    "organization_type",
    "registration_status",
    "address",
    "locality",
    "territory",
    "latitude",
    "longitude",
    "contact_name",
    "contact_post",
    "email",
    "phone",
]


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


class ImportOut(BaseModel):
    """What an import did, or would do."""

    source: str
    applied: bool = Field(description="False for a dry run, and where all or nothing was asked and a row was rejected")
    rows: int = Field(description="Rows read that the mapping's `only` lets through")
    created: int
    changed: int
    unchanged: int = Field(description="Already here as the file says; no event tells of them")
    repeated: int = Field(description="Rows that say the same as an earlier row of the file")
    rejected: int
    problems: list[RowProblem]
