"""Shapes of what comes in and goes out over HTTP. None holds personal data."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from tejido_shared.fields import Line, Strict
from tejido_shared.pages import PageQuery

State = Literal["active", "failing", "stopped", "paused"]
Pattern = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z_.]{0,98}\*?)$", max_length=100)]
Url = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=9, max_length=2000, pattern=r"^[^\x00-\x20]*$")
]
Secret = Annotated[str, StringConstraints(pattern=r"^whsec_[A-Za-z0-9+/]{1,100}={0,2}$")]
Value = StrictBool | Annotated[StrictInt, Field(ge=-(2**53), le=2**53)] | Line
Filters = dict[
    Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,60}$")],
    Annotated[list[Value], Field(min_length=1, max_length=200)],
]
Events = Annotated[list[Pattern], Field(min_length=1, max_length=50)]
_EVENTS = "Types of events (docs/events.md), or beginnings of them that end in `*`, e.g. `requests.*`"
_FILTERS = "Field of the event's data to the values wanted: all fields must match. Of a field with several values one must be wanted"


class SubscriptionIn(Strict):
    """Another system that wants to be told."""

    name: Line
    url: Url = Field(description="`https` only. Shown without its query afterwards")
    events: Events = Field(description=_EVENTS)
    filters: Filters = Field(default_factory=dict, max_length=20, description=_FILTERS)
    secret: Secret | None = Field(
        None, description="`whsec_` and 24 to 64 bytes in base64; made for you if you give none"
    )


class SubscriptionPatch(Strict):
    """What is not named stays as it is."""

    name: Line | None = None
    url: Url | None = Field(None, description="`https` only. A system that was resting is tried again at once")
    events: Events | None = Field(None, description=_EVENTS)
    filters: Filters | None = Field(None, max_length=20, description=_FILTERS)
    active: bool | None = Field(
        None, description="While it is not, nothing is sent, and of what happens nothing is kept for it"
    )


class SecretIn(Strict):
    secret: Secret | None = Field(
        None, description="`whsec_` and 24 to 64 bytes in base64; made for you if you give none"
    )


class ReplayIn(Strict):
    """What is to be told again."""

    since: AwareDatetime = Field(description="When it happened: from then on; at most 30 days ago")
    until: AwareDatetime | None = Field(None, description="Up to, and not including; now if not given")
    events: Events | None = Field(None, description="Only these of what is subscribed")


class SubscriptionSummary(BaseModel):
    """A subscription in a list."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    url: str = Field(description="Without its query, which may hold secrets")
    events: list[str]
    filters: dict[str, list[bool | int | str]]
    active: bool
    state: State = Field(
        description="`stopped`: it answered 410, or did not take anything for five days; `paused`: by an administrator"
    )
    failing_since: AwareDatetime | None = Field(description="Since when nothing was taken")
    rests_until: AwareDatetime | None = Field(description="While it fails, nothing is tried before")
    created_at: AwareDatetime
    created_by: str
    old_secret_until: AwareDatetime | None = Field(description="Until then the secret before this one signs too")


class AttemptOut(BaseModel):
    """One call."""

    model_config = ConfigDict(from_attributes=True)

    at: AwareDatetime
    event_id: UUID = Field(description="The `webhook-id` of the call")
    event_type: str
    outcome: Literal["accepted", "deferred", "refused", "unsendable", "unknown"]
    code: str | None = Field(description="Kind of failure: unreachable, no_answer, busy, 500 …")
    reply: str | None = Field(description="Status and the beginning of the answer, without addresses")


class SubscriptionOut(SubscriptionSummary):
    """A subscription and how it goes."""

    why: str | None = Field(description="Why it was stopped")
    waiting: int = Field(description="Calls still to be made")
    last_success_at: AwareDatetime | None
    last_failure: AttemptOut | None


class SubscriptionWithSecret(SubscriptionOut):
    secret: str = Field(description="Shown this once")


class TestOut(BaseModel):
    event_id: UUID = Field(
        description="The `webhook-id` of the call; see the subscription's attempts for what came of it"
    )


class ReplayOut(BaseModel):
    queued: int = Field(description="Calls that will be made; what still waited for its first call is not counted")
    complete: bool
    until: AwareDatetime = Field(
        description="Up to there all is queued: go on with it as `since` if it is not complete"
    )


class SubscriptionQuery(PageQuery):
    sort: Literal["name", "-name", "created_at", "-created_at"] = "name"


class AttemptQuery(PageQuery):
    """Filters and order of the list of calls."""

    outcome: Literal["accepted", "deferred", "refused", "unsendable", "unknown"] | None = None
    sort: Literal["at", "-at"] = "-at"
