"""Shapes of what comes in and goes out over HTTP."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from tejido_notifications.letters.sandbox import LARGEST_SOURCE
from tejido_shared.fields import PLAIN, Strict
from tejido_shared.pages import PageQuery

Form = Literal["mail", "short"]
Language = Literal["es", "en"]
Origin = Literal["saved", "pack", "ours", "mail"]
SourceText = Annotated[str, StringConstraints(min_length=1, max_length=LARGEST_SOURCE, pattern=PLAIN)]


class TemplateSummary(BaseModel):
    """A text in the list."""

    name: str = Field(description="The message, e.g. requests_submitted")
    form: Form = Field(description="`mail`: whole letters; `short`: SMS and the like")
    language: Language
    cause_type: str = Field(description="Type of the event it tells of")
    origin: Origin = Field(
        description="`saved` by an administrator, of the municipality's `pack`, or `ours`; `mail`: a short one made of the mail's subject"
    )
    version: str = Field(
        description="As deliveries name it: saved:3, or pack: or ours: and the beginning of its SHA-256"
    )
    number: int = Field(description="Of the newest saved version; 0 before the first")


class VariableOut(BaseModel):
    """Something a text may name."""

    name: str = Field(description="As it is written; `days[].day` is what each of the list `days` has")
    type: str
    meaning: str
    optional: bool = Field(description="May be missing: put it between `{% if … %}` and `{% endif %}`")
    personal: bool = Field(description="Not to be named in short messages")


class FilterOut(BaseModel):
    """Something a text may do with a value: `{{ due_date | day }}`."""

    name: str
    meaning: str


class TemplateOut(TemplateSummary):
    """A text, and what it may name."""

    source: str = Field(description="As it counts now; empty for a short one made of the mail's subject")
    without_saved: str = Field(description="What would count if nothing were saved: the pack's text or ours")
    variables: list[VariableOut]
    filters: list[FilterOut]


class TemplateIn(Strict):
    """A new version."""

    source: SourceText | None = Field(
        description="The whole text, Jinja; null: from here on the pack's text or ours counts again"
    )
    remark: str = Field("", max_length=500, pattern=PLAIN, description="Why")


class TemplateVersionOut(BaseModel):
    """One version of a text."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    at: AwareDatetime
    author: str = Field(description="Subject of the administrator's account")
    remark: str
    source: str | None = Field(description="Null: back to the pack's text or ours")


class TemplateVersionDiff(TemplateVersionOut):
    """One version and what it changed."""

    diff: str = Field(
        description="Unified, against the version before, or against the pack's text or ours as it is now"
    )


class VersionQuery(PageQuery):
    sort: Literal["number", "-number"] = "-number"


class PreviewIn(Strict):
    """What to show."""

    source: SourceText | None = Field(None, description="A text that is not saved yet; else the one that counts")
    sample: Literal["full", "bare"] = Field(
        "full", description="The fictional event with everything it may carry, or with nothing it may lack"
    )
    delivery_id: UUID | None = Field(
        None, description="Instead of the sample, what this message told of: personal data, for administrators"
    )


class PreviewOut(BaseModel):
    """A letter as it would be sent."""

    subject: str
    text: str
    html: str = Field(description="Empty for short messages")
    short: str = Field(description="What SMS and the like would say, now")
    version: str = Field(description="Of the text shown; empty when it was given")
