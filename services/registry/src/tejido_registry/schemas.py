"""Shapes of what comes in and goes out over HTTP, and of an import's mapping."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, EmailStr, Field, StringConstraints

from tejido_shared.fields import PLAIN, Line, Strict
from tejido_shared.jurisdiction import Freshness, LegalStatus, MandateStatus, RegistrationStatus
from tejido_shared.pages import PageQuery
from tejido_shared.problems import FieldError

# No control characters: PostgreSQL refuses NUL, and the rest only ever come by accident.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=PLAIN)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False, strict=True)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False, strict=True)]
Reasons = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=PLAIN)]
Website = Annotated[str, StringConstraints(max_length=300, pattern=r"^https?://[^\s\x00-\x1f]+$")]


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


class BranchIn(Strict):
    """A further place (sede) of an organization."""

    name: Name
    address: Name | None = None
    locality: Line | None = Field(None, description="Town or village")
    area: Line | None = Field(None, description="Code or name of one of the jurisdiction's areas")
    latitude: Latitude | None = Field(None, description="Degrees, WGS 84; with longitude or not at all")
    longitude: Longitude | None = Field(None, description="Degrees, WGS 84")


class OrganizationIn(Strict):
    """An organization as it is entered, with or without legal personality: identifiers are never asked for."""

    name: Name = Field(description="Legal or usual name")
    public_name: Name | None = Field(None, description="Name or acronym the public knows it by")
    other_names: list[Name] = Field(
        default_factory=list, max_length=20, description="Former names, spellings, acronyms"
    )
    organization_type: Line = Field(description="Code from /v1/organization-types")
    legal_status: LegalStatus | None = Field(None, description="What it is before the law; none if nobody said")
    purpose: Reasons | None = Field(None, description="What it is for (objeto)")
    founded_on: date | None = None
    website: Website | None = None
    themes: list[Line] = Field(default_factory=list, max_length=20, description="Codes from /v1/register-options")
    populations: list[Line] = Field(default_factory=list, max_length=20, description="Codes from /v1/register-options")
    identifiers: list[IdentifierIn] = Field(default_factory=list, max_length=20)
    contacts: list[ContactIn] = Field(default_factory=list, max_length=20)
    branches: list[BranchIn] = Field(default_factory=list, max_length=50, description="Further places it has")
    address: Name | None = None
    locality: Line | None = Field(None, description="Town or village")
    territory: Line | None = Field(None, description="District, localidad or barrio within it, as people say it")
    area: Line | None = Field(
        None,
        description="Code or name of one of the jurisdiction's areas; left out, what `territory` names or the point lies in",
    )
    neighborhood: Line | None = Field(None, description="Barrio; left out, the one the point lies in")
    latitude: Latitude | None = Field(None, description="Degrees, WGS 84; with longitude or not at all")
    longitude: Longitude | None = Field(None, description="Degrees, WGS 84")
    registration_status: Literal["draft", "registered"] = Field(
        "registered",
        description="`registered` by a registrar only, from an older register; anybody else begins a draft",
    )


class OrganizationPatch(Strict):
    """What to change; what is left out stays. Lists are replaced whole.

    The registrar changes anything. Whoever acts for the organization: everything while it is a draft, or rejected or withdrawn;
    what it was asked to correct; and else its contacts.
    """

    # A factory as default: may be left out, may not be null.
    name: Name = Field(default_factory=str)
    public_name: Name | None = None
    other_names: list[Name] = Field(default_factory=list, max_length=20)
    organization_type: Line = Field(default_factory=str)
    legal_status: LegalStatus | None = None
    purpose: Reasons | None = None
    founded_on: date | None = None
    website: Website | None = None
    themes: list[Line] = Field(default_factory=list, max_length=20)
    populations: list[Line] = Field(default_factory=list, max_length=20)
    identifiers: list[IdentifierIn] = Field(default_factory=list, max_length=20)
    contacts: list[ContactIn] = Field(default_factory=list, max_length=20)
    branches: list[BranchIn] = Field(default_factory=list, max_length=50)
    address: Name | None = None
    locality: Line | None = None
    territory: Line | None = None
    area: Line | None = None
    neighborhood: Line | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None


class ActIn(Strict):
    """An act of the authority."""

    number: Line = Field(description="As it is written: Resolución 12 de 2026")
    day: date


class DefectIn(Strict):
    """An item to correct, and why."""

    item: Line = Field(description="A field of the organization, or document:<code of /v1/register-options>")
    reason: Reasons


class StatusIn(Strict):
    """A step of the registration. What it asks for, the jurisdiction's table says; its reason stays in the history, for officials."""

    status: RegistrationStatus
    reason: Reasons | None = None
    act: ActIn | None = Field(None, description="Of the authority: to suspend, lift or cancel")
    until: date | None = Field(None, description="Last day of a suspension")
    defects: list[DefectIn] = Field(default_factory=list, max_length=50, description="What to correct")


class OrganizationActIn(Strict):
    """An act over an organization. Which asks for what, the jurisdiction's table says."""

    kind: Literal["suspend", "lift", "cancel", "withdraw"]
    reasons: Reasons | None = None
    act: ActIn | None = Field(None, description="Of the authority")
    until: date | None = Field(None, description="Last day of a suspension")


class IdentifierOut(BaseModel):
    scheme: str
    value: str
    check_digit: str | None


class ContactOut(BaseModel):
    name: str | None
    post: str | None
    email: str | None
    phone: str | None


class BranchOut(BaseModel):
    name: str
    address: str | None
    locality: str | None
    area: str | None
    latitude: float | None
    longitude: float | None


class PublicFields(BaseModel):
    """What an organization consents to show of what is not a register's own matter; none of what it does not."""

    description: str | None = Field(description="In its own words")
    phone: str | None
    email: str | None
    contact_name: str | None


class OrganizationSummary(BaseModel):
    """An organization in a list. Officials and whoever acts for it see all of it.

    The public sees its names, numbers (not a person's tax number), type, status, area, locality, themes and populations, and since when
    it is verified; of address, point, purpose, website, telephone, e-mail and contact what the organization consents to, field by
    field; the rest is none.

    Four axes that say nothing of one another: `registration_status`, moved by acts and dates; `legal_status`, as somebody said;
    `mandate_status` and `freshness`, which follow from dated mandates and verifications.
    """

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
    point: Literal["exact", "blurred"] | None = Field(description="How exact latitude and longitude are")
    area: str | None = Field(description="Code of the jurisdiction's area")
    neighborhood: str | None
    purpose: str | None
    founded_on: date | None
    website: str | None
    themes: list[Any]
    populations: list[Any]
    registration_status: RegistrationStatus
    status_until: date | None = Field(description="Last day of a suspension, or to correct what was asked")
    legal_status: LegalStatus | None
    mandate_status: MandateStatus | None
    mandate_until: date | None = Field(description="Last day of whoever signs for it now")
    freshness: Freshness | None
    verified_on: date | None = Field(description="The day on which its data were last found true")
    registered_at: AwareDatetime
    public: PublicFields = Field(description="What else it shows to everybody")


class OrganizationOut(OrganizationSummary):
    """One organization; contacts, branches and what follows only for officials and whoever acts for it."""

    contacts: list[ContactOut] | None = Field(None, description="Absent for the public")
    branches: list[BranchOut] | None = Field(None, description="Absent for the public")
    area_found: str | None = Field(None, description="Code of the area its point lies in; absent for the public")
    filing_due_on: date | None = Field(None, description="Last day for the next annual filing; absent for the public")
    captured_by: str | None = Field(None, description="Subject of who entered it; for officials only")
    on_behalf: bool | None = Field(None, description="Whether an official entered it; absent for the public")
    warnings: list[FieldError] = Field(default_factory=list, description="What officials should look at again")


class OrganizationQuery(PageQuery):
    """Filters and order of the list of organizations."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PLAIN)] | None = Field(
        None,
        description="Words, or beginnings of words, of its names; its number; or the number another register gave it. "
        "Accents and capitals do not matter. By `relevance` those whose words are only like it follow on pages of their own",
    )
    organization_type: Line | None = None
    registration_status: RegistrationStatus | None = None
    legal_status: LegalStatus | None = Field(None, description="For officials")
    mandate_status: MandateStatus | None = Field(None, description="For officials")
    freshness: Freshness | None = Field(None, description="For officials")
    area: Line | None = Field(None, description="Code of the jurisdiction's area")
    neighborhood: Line | None = Field(None, description="For officials; accents and capitals do not matter")
    theme: Line | None = Field(None, description="Code of what it works on")
    population: Line | None = Field(None, description="Code of whom it serves")
    mine: bool = Field(False, description="Only those the caller acts for")
    locality: Line | None = Field(None, description="Accents and capitals do not matter")
    territory: Line | None = Field(None, description="Accents and capitals do not matter")
    bbox: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="Only those with a point in it: west,south,east,north in degrees"
    )
    near: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        None, description="Only those with a point within `radius` of it: longitude,latitude in degrees"
    )
    radius: Annotated[int, Field(ge=1, le=50_000, description="Meters")] = 2000
    sort: Literal["name", "-name", "registered_at", "-registered_at", "relevance", "distance"] | None = Field(
        None, description="When none is named, `distance` with `near`, `relevance` with `q`, else `name`"
    )


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


class Choice(BaseModel):
    code: str
    name: str


class DocumentChoice(Choice):
    personal: bool = Field(description="It tells of persons")
    valid_months: int | None = Field(description="From its date; none: it does not expire")


class AskedDocuments(BaseModel):
    """The documents a procedure asks for, of organizations of these types (none named: of all)."""

    procedure: str
    documents: list[str]
    types: list[str]


class RegisterOptions(BaseModel):
    """What may be chosen, and what the procedures ask for, in this jurisdiction."""

    areas: list[Choice]
    themes: list[Choice]
    populations: list[Choice]
    document_types: list[DocumentChoice]
    documents_asked: list[AskedDocuments]
    admits_without_legal_personality: bool


class OrganizationTypeOut(BaseModel):
    code: str
    name: str
    description: str
    grade: int | None = Field(description="Level of a communal body, 1 to 4; none for all others")
    identifier_schemes: list[IdentifierSchemeOut]
