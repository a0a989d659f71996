"""What the municipality is: its offices, roles, organizations, kinds of request, closures and way of counting."""

import re
from collections.abc import Iterator
from datetime import date, time, timedelta
from enum import StrEnum
from string import Formatter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from tejido_shared.jurisdiction.values import (
    Amount,
    Code,
    Day,
    Email,
    Frozen,
    Kind,
    Regex,
    SchemeCode,
    Text,
    Unit,
    Weekdays,
    YesNo,
)

LONGEST_CLOSURE_DAYS = 366  # a longer one is a mistyped year


class Role(StrEnum):
    CITIZEN = "citizen"
    ORGANIZATION_REPRESENTATIVE = "organization_representative"
    OFFICER = "officer"
    HEAD = "head"
    REGISTRAR = "registrar"
    REGISTER_AUTHORITY = "register_authority"
    PROJECT_EVALUATOR = "project_evaluator"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class RoleRule(Frozen):
    """A group (regular expression, matched whole) or a machine client (its id) gets a role.

    The named groups `office` and `organization` of the expression say where the role holds.
    """

    group: Regex | None = None
    client: Text | None = None
    role: Role

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.group is None) == (self.client is None):
            raise PydanticCustomError("group_or_client", "one of group and client")
        named = re.compile(self.group).groupindex if self.group is not None else {}
        if self.role in (Role.OFFICER, Role.HEAD) and "office" not in named:
            raise PydanticCustomError("role_needs_office", "needs an office")
        if self.role is Role.ORGANIZATION_REPRESENTATIVE and "organization" not in named:
            raise PydanticCustomError("role_needs_organization", "needs an organization")
        return self


class Office(Frozen):
    """`head_email` is the official address of the post, which outlives the person."""

    code: Code
    name: Text
    email: Email
    head_email: Email
    default: bool = False


class IdentifierScheme(Frozen):
    """A register that gives organizations a number. `pattern` is matched whole; `unique`: no two share a number."""

    code: SchemeCode
    name: Text
    pattern: Regex
    unique: bool


class OrganizationType(Frozen):
    """`grade` is the level of a communal body (1: board … 4: confederation); absent for all others."""

    code: Code
    name: Text
    description: str = ""
    grade: Annotated[int, Field(strict=True, ge=1, le=4)] | None = None
    identifier_schemes: tuple[SchemeCode, ...] = ()


class AfterDue(Frozen):
    """What the law orders once the term has passed unanswered: `n` more units from the due date."""

    unit: Unit
    n: Amount
    effect: Literal["accepted_by_silence"]
    article: Text


class ProcedureTerm(Frozen):
    """`n` units and, in the same unit, the most that may be added (absent: it cannot be extended).

    A `service_commitment` is the entity's own promise: a mail must not call it the law.
    """

    unit: Unit
    n: Amount
    article: Text
    kind: Kind
    extension_max_added: Amount | None = None


class Term(ProcedureTerm):
    """The time to answer requests received on `valid_from` or later and before `valid_to` (absent: still valid)."""

    valid_from: Day
    valid_to: Day | None = None
    after_due: AfterDue | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.valid_to is not None and self.valid_from >= self.valid_to:
            raise PydanticCustomError(
                "from_after_to", "from after to", {"start": self.valid_from, "end": self.valid_to}
            )
        return self


class AskedField(Frozen):
    """What is asked beyond the subject. `choices` are the answers a `choice` admits.

    A petition is not refused for being incomplete (Ley 1755 de 2015, arts. 15 and 17): without a `required` field the
    citizen is told what is missing, and the request is received if they insist.
    """

    code: Code
    name: Text
    kind: Literal["text", "number", "date", "choice"]
    required: bool
    choices: tuple[Text, ...] = ()
    help: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind == "choice") != bool(self.choices):
            raise PydanticCustomError("choices_unasked" if self.choices else "choices_missing", "choices")
        if len(set(self.choices)) < len(self.choices):
            raise PydanticCustomError("repeated_choice", "repeated choice")
        return self


RESPONSE_PLACEHOLDERS = ("number", "subject", "type", "petitioner", "received_on", "due_on", "office", "entity")
"""What a response template may hold between braces, written as a mail writes it."""


def _response_template(value: str) -> str:
    try:
        plain = all(
            field is None or (field in RESPONSE_PLACEHOLDERS and not spec and not conversion)
            for _, field, spec, conversion in Formatter().parse(value)
        )
    except ValueError:
        plain = False
    if not plain:
        known = ", ".join(f"{{{name}}}" for name in RESPONSE_PLACEHOLDERS)
        raise PydanticCustomError("response_template", "not valid", {"known": known})
    return value


class RequestType(Frozen):
    """`name` is the law's own word. `due_date = "typed"`: an officer copies the date from the request; no terms.

    `filed_by = "authorities"`: other public bodies, so it is not offered to citizens. `default`: what has no type.
    `confidential`: who files it is not shown unless it is said otherwise. `response_template` begins a draft; it may
    hold RESPONSE_PLACEHOLDERS. `group` and `keywords` help to find the type in a catalogue of services (Open311).
    """

    code: Code
    name: Text
    description: Text
    filed_by: Literal["anyone", "authorities"] = "anyone"
    due_date: Literal["computed", "typed"] = "computed"
    default: bool = False
    default_office: Code | None = None
    confidential: bool = False
    group: str = ""
    keywords: tuple[Text, ...] = ()
    fields: tuple[AskedField, ...] = ()
    response_template: Annotated[Text, AfterValidator(_response_template)] | None = None
    terms: tuple[Term, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.due_date == "typed") == bool(self.terms):
            raise PydanticCustomError("terms_typed" if self.terms else "terms_missing", "terms")
        for earlier, later in zip(self.terms, self.terms[1:], strict=False):
            if earlier.valid_to is None or earlier.valid_to > later.valid_from:
                raise PydanticCustomError("terms_overlap", "terms overlap", {"day": later.valid_from})
            if earlier.valid_to < later.valid_from:
                raise PydanticCustomError(
                    "terms_gap", "terms leave a gap", {"start": earlier.valid_to, "end": later.valid_from}
                )
        return self


class Closure(Frozen):
    """Days, both ends included, on which the offices are closed, and the legal act that says so.

    A closed office is not a suspended term: only `suspends_terms` takes the days out of the count, and not for
    `except_types`. `open_for_filing`: requests are still received. `declared_at`: when the act became known,
    absent for a law that was there before.
    """

    starts_on: Day = Field(validation_alias="from")
    ends_on: Day = Field(validation_alias="to")
    name: Text
    act: Text
    scope: Literal["country", "province", "municipality"]
    suspends_terms: YesNo
    open_for_filing: YesNo
    except_types: Annotated[
        tuple[Code, ...], BeforeValidator(lambda value: value.split() if isinstance(value, str) else value)
    ] = ()
    declared_at: Annotated[Day | None, BeforeValidator(lambda value: value or None)] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.starts_on > self.ends_on:
            raise PydanticCustomError("from_after_to", "from after to", {"start": self.starts_on, "end": self.ends_on})
        if (self.ends_on - self.starts_on).days >= LONGEST_CLOSURE_DAYS:
            raise PydanticCustomError("closure_too_long", "too long", {"days": LONGEST_CLOSURE_DAYS})
        return self

    def days(self) -> Iterator[date]:
        for offset in range((self.ends_on - self.starts_on).days + 1):
            yield self.starts_on + timedelta(days=offset)


class CountingPolicy(Frozen):
    """How days are counted where the law leaves a choice.

    `receipt_rule`: whether a receipt on a closed day, or from `cutoff` on, is deemed received the next open day.
    `weekdays`: working days, Monday first, 1 works. `overdue`: the legal end of the last day, or `office_close`.
    Times are local.
    """

    receipt_rule: Literal["same_day", "roll_nonbusiness", "roll_after_hours"]
    cutoff: time
    weekdays: Weekdays
    overdue: Literal["end_of_day", "office_close"]
    office_close: time


class Entity(Frozen):
    """The public body, as its mails present it."""

    name: Text
    short_name: Text
    email: Email
    phone: Text
    address: Text
    website: Text
    opening_hours: Text


class Texts(Frozen):
    """What every mail carries."""

    greeting: Text
    signature: Text
    data_protection: Text
