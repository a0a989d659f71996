"""Shapes of what comes in and goes out over HTTP."""

from datetime import time
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints

from tejido_shared.fields import PLAIN, Strict


def _local(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("a local time has no zone")
    return value.replace(microsecond=0)


LocalTime = Annotated[time, AfterValidator(_local)]
Category = Literal["legal", "service", "campaign"]


class PreferencesIn(Strict):
    """How somebody wants to be told. Legal notices go out at once all the same."""

    language: Literal["es", "en"] = "es"
    quiet_from: LocalTime | None = Field(None, description="Local; from then on nothing is sent but legal notices …")
    quiet_until: LocalTime | None = Field(None, description="… until then, which may be after midnight")
    digest: bool = Field(
        False, description="Messages that are neither legal notices nor calls come once a day, together"
    )


AddressValue = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=PLAIN)]


class AddressIn(Strict):
    value: AddressValue = Field(
        description="E-mail address; telephone number, of this country or with +; what else the channel calls an address"
    )
    rank: int | None = Field(None, ge=0, le=1000, description="Lower is tried first; e-mail is 0 if nothing is said")


class CodeIn(Strict):
    code: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9 ]{6,11}$")]


class ConfirmationIn(Strict):
    """What an official saw that proves whose address it is."""

    value: AddressValue = Field(
        description="The address that the document shows: officials see the one that waits masked"
    )
    evidence: Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=500, pattern=PLAIN)]


class AddressOut(BaseModel):
    """Where somebody is reached. A new address stands next to the one it is to replace until it is verified."""

    channel: str
    value: str = Field(description="Masked for who is not its owner")
    rank: int
    verified_at: AwareDatetime | None = Field(description="Nothing is sent to it before")
    bounced_at: AwareDatetime | None = Field(
        description="When a message came back: nothing but legal notices is sent until it is verified anew"
    )
    bounce_reason: str | None
    opted_out: list[str] = Field(description="Categories that are not wanted there: service, campaign")


class ContactOut(BaseModel):
    """Somebody's addresses and wishes."""

    language: str
    quiet_from: time | None
    quiet_until: time | None
    digest: bool
    addresses: list[AddressOut]
    channels: list[str] = Field(description="Channels by which this municipality reaches people")


class PushKeyOut(BaseModel):
    application_server_key: str | None = Field(
        description="VAPID public key (RFC 8292), base64url; none where the municipality has no web push"
    )
