"""What the petition desk works by: channels, areas, the clocks inside a request, reminders and retention."""

from datetime import time
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from tejido_shared.jurisdiction.models import ProcedureTerm
from tejido_shared.jurisdiction.values import Amount, Code, Count, Email, Frozen, Text


class Channel(Frozen):
    """A way requests come in. `public`: a citizen files there alone; `verbal`: requests may be spoken there.

    Requests keep the code, so a channel that is no longer used stays, with `active = false`.
    """

    code: Code
    name: Text
    public: bool
    verbal: bool
    active: bool = True


class Area(Frozen):
    """A part of the municipality's territory."""

    code: Code
    name: Text


class Targets(Frozen):
    """Until when an answer should be drafted and approved, in open days before its due date (0: on the day)."""

    draft_before_due: Count
    approve_before_due: Count

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.draft_before_due < self.approve_before_due:
            raise PydanticCustomError("draft_after_approval", "draft after approval")
        return self


class OfficeHours(Frozen):
    """Local times between which reminders are sent, on open days."""

    opens: time
    closes: time

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.opens >= self.closes:
            raise PydanticCustomError("from_after_to", "from after to", {"start": self.opens, "end": self.closes})
        return self


class Procedure(Frozen):
    """The clocks that run inside a request; None where the place has no such rule.

    `acknowledge` and `ask_for_completion` are the authority's, from receipt; `complete` and `clarify` the citizen's,
    from being asked; `transfer` to the competent authority, from receipt; `appeal` the citizen's, from the notified
    answer; `silence` counts from receipt until an unanswered request is deemed refused. `authority_name` and
    `authority_email` are the post that reminders climb to last.
    """

    authority_name: Text
    authority_email: Email
    acknowledge: ProcedureTerm | None = None
    ask_for_completion: ProcedureTerm | None = None
    complete: ProcedureTerm | None = None
    clarify: ProcedureTerm | None = None
    transfer: ProcedureTerm | None = None
    appeal: ProcedureTerm | None = None
    silence: ProcedureTerm | None = None
    targets: Targets
    office_hours: OfficeHours

    @property
    def terms(self) -> dict[str, ProcedureTerm]:
        """The clocks the place has, by name."""
        return {name: value for name, value in self if isinstance(value, ProcedureTerm)}


Clock = Literal[
    "answer",
    "acknowledgement",
    "completion_window",
    "citizen_completion",
    "draft",
    "approval",
    "copies",
    "appeal",
]
PROCEDURE_CLOCKS: dict[Clock, str] = {
    "acknowledgement": "acknowledge",
    "completion_window": "ask_for_completion",
    "citizen_completion": "complete",
    "appeal": "appeal",
}
"""The clocks of reminders that run only where the procedure has a term for them."""


def _days(value: object) -> object:
    if value == "due_soon" or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise PydanticCustomError("reminder_days", "a number or due_soon")


class Reminder(Frozen):
    """Who is told `days` open days after the due date of a clock (negative: before, 0: on the day).

    `due_soon`, for the answer only, is the day from which it counts as due soon: three tenths of its term, at least 1
    and at most 7 open days before.
    """

    clock: Clock
    days: Annotated[int | Literal["due_soon"], BeforeValidator(_days)]
    to: Annotated[tuple[Literal["assignee", "office", "head", "authority"], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.days == "due_soon" and self.clock != "answer":
            raise PydanticCustomError("due_soon_answer", "due_soon for the answer only")
        if len(set(self.to)) < len(self.to):
            raise PydanticCustomError("repeated_addressee", "repeated addressee")
        return self


class RetentionRule(Frozen):
    """Personal data of closed requests of `types` (none: all that no other rule names) are kept `after_months` more."""

    types: tuple[Code, ...] = ()
    after_months: Amount
    article: Text
