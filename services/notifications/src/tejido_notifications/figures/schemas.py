"""Shapes of figures. None holds personal data."""

from datetime import date

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

LONGEST_DAYS = 92
"""Of a period: a quarter."""


class PeriodQuery(BaseModel):
    """Days of the municipality, both included; the last seven if nothing is said."""

    model_config = ConfigDict(extra="forbid")

    start: date | None = Field(None, alias="from", ge=date(2000, 1, 1), le=date(2100, 12, 30))
    end: date | None = Field(None, alias="to", ge=date(2000, 1, 1), le=date(2100, 12, 30))


class Waiting(BaseModel):
    """What one channel has to send now."""

    channel: str
    category: str
    waiting: int = Field(description="All that is still to be sent")
    due: int = Field(description="Of these, what could go out now")
    oldest_due_seconds: float = Field(description="How long the one that is due longest has been due; 0 if nothing is")
    per_minute: float = Field(description="Delivered a minute, over the last five")


class Seconds(BaseModel):
    """From what happened, or from when it was to be sent if that was later, to the acceptance by the other side; in seconds."""

    p50: float
    p95: float
    p99: float


class Flow(BaseModel):
    """What one channel did in the period with messages of one category."""

    channel: str
    category: str
    delivered: int = Field(description="Accepted in the period, though some of it may have come back since")
    seconds: Seconds | None = Field(description="None if nothing was delivered")
    failed: dict[str, int] = Field(description="Made in the period and given up, by the code of the last failure")
    bounced: int = Field(description="Came back in the period")
    attempts: dict[str, int] = Field(description="Made in the period, by outcome")


class FiguresOut(BaseModel):
    """What waits now, and what happened in a period."""

    at: AwareDatetime
    start: date
    end: date
    now: list[Waiting]
    period: list[Flow]
    failing_subscriptions: int = Field(description="Systems that are told of events and do not answer now")
