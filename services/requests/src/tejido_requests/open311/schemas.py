"""Shapes of GeoReport v2: its own names for things, with `long` for a longitude and `description` for what is asked."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, EmailStr, Field, StringConstraints, model_validator

from tejido_shared.fields import Line, Paragraphs

_Name = Annotated[Line, StringConstraints(max_length=99)]
_Link = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[^\x00-\x20]+$")]
_Several = BeforeValidator(lambda value: [part for part in value.split(",") if part.strip()])
# The + of an offset that nobody escaped arrives as a space.
_W3 = Annotated[
    AwareDatetime, BeforeValidator(lambda value: value.replace(" ", "+")), Field(ge=datetime(2000, 1, 1, tzinfo=UTC))
]


class RequestForm(BaseModel):
    """What may be sent with POST requests. What is empty counts as not sent; names that are not here, as api_key, are not looked at."""

    jurisdiction_id: Line | None = None
    service_code: Line | None = None
    lat: float | None = Field(None, ge=-90, le=90)
    long: float | None = Field(None, ge=-180, le=180)
    address_string: Line | None = None
    address_id: Line | None = Field(None, description="Code of an area: see /v1/areas")
    attribute: dict[Line, Paragraphs] = Field(default_factory=dict, max_length=30)
    email: EmailStr | None = Field(None, max_length=254)
    first_name: _Name | None = None
    last_name: _Name | None = None
    phone: Line | None = None
    description: Paragraphs | None = None
    media_url: _Link | None = None


class RequestQuery(BaseModel):
    """What GET requests may ask for. `page`, `page_size`, `updated_after` and `extensions` are extensions."""

    jurisdiction_id: str | None = None
    service_request_id: Annotated[list[Line], _Several, Field(max_length=200)] = []
    service_code: Annotated[list[Line], _Several, Field(max_length=200)] = []
    status: Annotated[list[Literal["open", "closed"]], _Several] = []
    start_date: _W3 | None = None
    end_date: _W3 | None = None
    updated_after: _W3 | None = None
    page: int = Field(1, ge=1, le=10_000)
    page_size: int = Field(1000, ge=1, le=1000)
    extensions: Annotated[bool, BeforeValidator(lambda value: value == "true")] = False

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in given.items() if value.strip()}


class Endpoint(BaseModel):
    specification: str
    url: str
    changeset: str
    type: Literal["production", "test"]
    formats: list[str]


class Discovery(BaseModel):
    changeset: str
    contact: str
    key_service: str
    endpoints: list[Endpoint]


class Service(BaseModel):
    service_code: str
    service_name: str
    description: str
    metadata: bool
    type: Literal["realtime"] = "realtime"
    keywords: str
    group: str


class Value(BaseModel):
    key: str
    name: str


class Attribute(BaseModel):
    variable: Literal[True] = True
    code: str
    datatype: Literal["string", "number", "datetime", "singlevaluelist"]
    required: Literal[False] = False
    datatype_description: str | None
    order: int
    description: str
    values: list[Value]


class ServiceDefinition(BaseModel):
    service_code: str
    attributes: list[Attribute]


class Filed(BaseModel):
    """What the filer takes away. `tracking_code` is an extension, and nothing else ever shows it."""

    service_request_id: str
    service_notice: str
    account_id: None = None
    tracking_code: str


class Extended(BaseModel):
    """What `extensions=true` adds."""

    closed_datetime: datetime | None
    detailed_status: str
    due_date: str | None


class Request(BaseModel):
    """What anybody is shown of a published request. No personal data: no text of the citizen's, and the point is rounded."""

    service_request_id: str
    status: Literal["open", "closed"]
    status_notes: str
    service_name: str
    service_code: str
    description: None = None
    agency_responsible: str
    service_notice: str
    requested_datetime: datetime
    updated_datetime: datetime
    expected_datetime: datetime | None
    address: str | None
    address_id: str | None
    zipcode: None = None
    lat: float
    long: float
    media_url: None = None
    extended_attributes: Extended | None = None
