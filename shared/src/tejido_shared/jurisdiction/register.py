"""What the register of organizations works by: its procedure, its terms, what is asked, and who may do what in which standing."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tejido_shared.jurisdiction.models import ProcedureTerm
from tejido_shared.jurisdiction.values import Amount, Code, Count, Frozen, Text, matching

RegistrationStatus = Literal[
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
    "merged",
]
LegalStatus = Literal[
    "de_facto",
    "simple_association",
    "in_process",
    "incorporated",
    "under_regularisation",
    "in_liquidation",
    "dissolved",
]
MandateStatus = Literal["current", "expiring", "expired", "vacant", "unknown"]
Freshness = Literal["verified", "due", "stale", "never"]
"""The four axes of an organization. None says anything of another; the last two are computed from dates and never typed."""

Actor = Literal["representative", "registrar", "authority", "calendar"]
"""Who moves an organization: its own representative, a registrar, the authority by an act, or a date that passed."""
Requirement = Literal[
    "minimum_data",
    "consent",
    "documents",
    "other_officer",
    "defects",
    "reasons",
    "act",
    "until",
    "until_over",
    "filing",
    "grace_over",
]
"""What a step asks for, beyond being allowed.

`minimum_data`: name, type, a place and a contact; `consent` to the treatment of personal data; `documents`: those the
procedure asks of the type, verified and not expired; `other_officer`: not the one who entered it; `defects`: the items
to correct; `reasons`: why; `act`: number and day of the authority's act; `until`: the end of the measure; `until_over`:
that end has passed, or the term to correct (the organization itself waits for neither to withdraw); `filing`: a filing
that was accepted; `grace_over`: the grace after a missed filing has passed.
"""


class Transition(Frozen):
    """A step from one registration status to another, who may take it and what it asks for. What is not listed is forbidden."""

    before: RegistrationStatus = Field(validation_alias="from")
    after: RegistrationStatus = Field(validation_alias="to")
    by: Annotated[tuple[Actor, ...], Field(min_length=1)]
    requires: tuple[Requirement, ...] = ()
    basis: str = ""


class DocumentType(Frozen):
    """A document that is handed in once and serves every procedure until it expires. `personal`: it tells of persons."""

    code: Code
    name: Text
    personal: bool
    valid_months: Amount | None = None


class DocumentsAsked(Frozen):
    """The documents a procedure asks for, of organizations of these types (none named: of all)."""

    procedure: Literal["registration", "annual_filing"]
    documents: Annotated[tuple[Code, ...], Field(min_length=1)]
    types: tuple[Code, ...] = ()


class Purpose(Frozen):
    """A rule of standing (regla de habilitación): what must hold on the day for an organization to do this.

    Each list says which values of that axis are enough; an empty one asks nothing. `documents` must be verified and
    valid on the day; `filing`: the annual filing is not overdue beyond its grace.
    """

    code: Code
    name: Text
    registration: tuple[RegistrationStatus, ...] = ()
    legal: tuple[LegalStatus, ...] = ()
    mandate: tuple[MandateStatus, ...] = ()
    freshness: tuple[Freshness, ...] = ()
    types: tuple[Code, ...] = ()
    grades: tuple[Annotated[int, Field(strict=True, ge=1, le=4)], ...] = ()
    documents: tuple[Code, ...] = ()
    filing: bool = False


class MandateTerm(Frozen):
    """When the mandates of communal bodies of these grades begin, in `first_year` and every so many years after it."""

    grades: Annotated[tuple[Annotated[int, Field(strict=True, ge=1, le=4)], ...], Field(min_length=1)]
    begins: Annotated[str, matching("month_day", "(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")]
    first_year: Annotated[int, Field(strict=True, ge=2000, le=2100)]
    every_years: Annotated[int, Field(strict=True, ge=1, le=10)]
    election: str = ""
    article: Text


class Theme(Frozen):
    """What an organization works on."""

    code: Code
    name: Text


class Population(Frozen):
    """Whom an organization serves."""

    code: Code
    name: Text


class RegisterPolicy(Frozen):
    """The terms of the register.

    `review` runs from submission, `correction` from being asked. Months: `validity_months` from the entry or the last accepted
    filing to the next one; data are `verified` for `verified_months`, `due` until `stale_months`, then `stale`; the whole is
    surveyed anew within `resurvey_months`. Days: `reminder_days` before a mandate or filing ends; `grace_days` after a missed
    filing until the organization becomes inactive; a mandate is `expiring` in its last `expiring_days`; a suspension lasts
    `suspension_days` at most; a merge can be undone for `merge_undo_days`; a certificate is good for `certificate_days`.
    `blur_meters`: how far a blurred point may be from the true one.
    """

    admits_without_legal_personality: bool
    review: ProcedureTerm
    correction: ProcedureTerm
    validity_months: Amount
    reminder_days: Annotated[tuple[Amount, ...], Field(min_length=1)]
    grace_days: Count
    expiring_days: Amount
    verified_months: Amount
    stale_months: Amount
    resurvey_months: Amount
    suspension_days: Amount
    merge_undo_days: Amount
    certificate_days: Amount
    blur_meters: Amount

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.verified_months >= self.stale_months:
            raise PydanticCustomError("verified_after_stale", "verified after stale")
        if list(self.reminder_days) != sorted(set(self.reminder_days), reverse=True):
            raise PydanticCustomError("reminders_descending", "descending")
        return self


class Register(Frozen):
    """registration.toml."""

    policy: RegisterPolicy
    transition: Annotated[tuple[Transition, ...], Field(min_length=1)]
    document_type: tuple[DocumentType, ...] = ()
    documents_asked: tuple[DocumentsAsked, ...] = ()
    purpose: tuple[Purpose, ...] = ()
    mandate_term: tuple[MandateTerm, ...] = ()
    theme: tuple[Theme, ...] = ()
    population: tuple[Population, ...] = ()

    def step(self, before: str, after: str) -> Transition | None:
        """The row of the table; none if the step is forbidden."""
        return next((one for one in self.transition if (one.before, one.after) == (before, after)), None)

    def documents_for(self, procedure: str, organization_type: str) -> tuple[str, ...]:
        """The codes of the documents that a procedure asks of an organization of this type, each once."""
        asked = [
            code
            for rule in self.documents_asked
            if rule.procedure == procedure and (not rule.types or organization_type in rule.types)
            for code in rule.documents
        ]
        return tuple(dict.fromkeys(asked))
