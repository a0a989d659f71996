"""Shapes of what comes in and goes out over HTTP."""

from datetime import date
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, EmailStr, Field, model_validator
from pydantic_core import PydanticCustomError

from tejido_shared.fields import Line, Strict
from tejido_shared.pages import PageQuery

Organ = Literal["direction", "administration", "oversight", "conciliation", "representation"]
DocumentKind = Literal["cc", "ce", "dni", "passport", "other"]
Why = Literal["resignation", "removal", "death", "replaced", "error"]


class PersonIn(Strict):
    """Who holds an office. Personal data: encrypted at rest, in no event, log or public answer."""

    id: UUID | None = Field(None, description="Somebody who already holds or held an office in this organization")
    name: Line | None = Field(None, description="Needed, unless `id` says who it is")
    document_kind: DocumentKind | None = Field(None, description="With document, or not at all")
    document: Line | None = Field(None, description="Its number: the same person is known again by it")
    email: EmailStr | None = Field(None, max_length=254)
    phone: Line | None = Field(None, description="Stored in international form")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.id is None and self.name is None:
            raise PydanticCustomError("missing", "Field required")
        if (self.document is None) != (self.document_kind is None):
            raise PydanticCustomError("missing", "Field required")
        return self


class OfficeIn(Strict):
    """An office and who holds it."""

    organ: Organ = "direction"
    post: Line = Field(description="Presidenta, tesorero, fiscal …")
    signs: bool = Field(False, description="Signs for the organization")
    person: PersonIn


class MandateIn(OfficeIn):
    starts_on: date
    ends_on: date | None = Field(None, description="Last day; if left out, that of the law's term (mandate-terms)")
    act: Line | None = Field(None, description="That recognized it: auto de reconocimiento, acta")


class BoardIn(Strict):
    """A whole board that was elected. It takes the place of all who held an office in the organs it names."""

    starts_on: date
    ends_on: date | None = Field(None, description="Last day; if left out, that of the law's term (mandate-terms)")
    act: Line | None = Field(None, description="That recognized it: auto de reconocimiento, acta")
    members: Annotated[list[OfficeIn], Field(min_length=1, max_length=60)]


class EndIn(Strict):
    """That a mandate ended before its term. `error`: it was recorded by mistake and never was."""

    ended_on: date | None = Field(None, description="Last day in office; needed, unless it was recorded by mistake")
    why: Why


class PersonOut(BaseModel):
    id: UUID = Field(description="The same in every organization")
    name: str
    document_kind: str | None
    document: str | None
    email: str | None
    phone: str | None


class MandateOut(BaseModel):
    """An office and its days. The person only for officials and the organization's own representative."""

    id: UUID
    organ: str
    post: str
    signs: bool
    starts_on: date
    ends_on: date = Field(description="Last day of its term")
    ended_on: date | None = Field(description="Last day, where it ended before its term")
    ended_why: str | None = Field(description="Absent for the public")
    act: str | None
    in_office: bool = Field(description="Today")
    person: PersonOut | None = Field(None, description="Absent for the public")


class BoardOut(BaseModel):
    """What was recorded, and who is in office now."""

    mandate_status: str
    mandate_until: date | None
    mandates: list[MandateOut]


class MandateQuery(PageQuery):
    in_office_on: date | None = Field(None, description="Only those who hold office on this day")
    sort: Literal["starts_on", "-starts_on"] = "-starts_on"


class TermOut(BaseModel):
    """A term as the law has it: proposed, not imposed."""

    starts_on: date
    ends_on: date = Field(description="Last day")
    election: str = Field(description="When it is elected, in words")
    article: str


class TermsOut(BaseModel):
    """The term that the day asked for lies in, and the one after it; none where the law leaves it to the organization."""

    current: TermOut | None
    next: TermOut | None
