"""Rules of standing (reglas de habilitación): whether an organization may do something on a day, and if not, why. Pure.

A reason is a code: `<axis>_<what is so>`, as `mandate_expired`; that of a document names it: `document_missing:statute`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from tejido_registry import axes
from tejido_shared.jurisdiction import Freshness, MandateStatus, Purpose, Register

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Facts:
    """What is so of an organization on one day. `legal` is none where nobody said; `filed`: no filing is overdue beyond its grace."""

    registration: str
    legal: str | None
    organization_type: str
    grade: int | None
    mandate: MandateStatus = "unknown"
    freshness: Freshness = "never"
    documents: frozenset[str] = frozenset()
    filed: bool = True


def judge(purpose: Purpose, facts: Facts) -> tuple[str, ...]:
    """Why an organization may not do this; empty if it may.

    What nobody said of its legal situation counts as the least that an organization can be, a group without legal personality.
    """
    reasons = []
    if purpose.registration and facts.registration not in purpose.registration:
        reasons.append(f"registration_{facts.registration}")
    if purpose.legal and (facts.legal or "de_facto") not in purpose.legal:
        reasons.append(f"legal_{facts.legal or 'unknown'}")
    if purpose.mandate and facts.mandate not in purpose.mandate:
        reasons.append(f"mandate_{facts.mandate}")
    if purpose.freshness and facts.freshness not in purpose.freshness:
        reasons.append(f"freshness_{facts.freshness}")
    if purpose.types and facts.organization_type not in purpose.types:
        reasons.append("type_not_admitted")
    if purpose.grades and facts.grade not in purpose.grades:
        reasons.append("grade_not_admitted")
    reasons += [f"document_missing:{code}" for code in purpose.documents if code not in facts.documents]
    if purpose.filing and not facts.filed:
        reasons.append("filing_overdue")
    return tuple(reasons)


def axis_of(reason: str) -> str:
    """registration, legal, mandate, freshness, type, grade, document or filing."""
    return reason.partition("_")[0]


@dataclass(frozen=True)
class Paper:
    """A verified document. `expires_on` is the last day it is good for; none: for ever."""

    document_type: str
    expires_on: date | None = None


@dataclass(frozen=True)
class Dated:
    """What is known of an organization, with the dates: `facts` says what is so on any day.

    `filing_pending`: a filing waits for its decision, so nothing happens to the organization for the lack of it.
    """

    registration: str
    legal: str | None
    organization_type: str
    grade: int | None
    terms: tuple[axes.Term, ...] = ()
    confirmations: tuple[axes.Confirmation, ...] = ()
    papers: tuple[Paper, ...] = ()
    filing_due_on: date | None = None
    filing_pending: bool = False

    def grace_until(self, register: Register) -> date | None:
        """The last day before the lack of a filing has an effect."""
        if self.filing_due_on is None or self.filing_pending:
            return None
        return self.filing_due_on + timedelta(days=register.policy.grace_days)


def facts(dated: Dated, on: date, register: Register) -> Facts:
    """What is so on a day. A grace that has passed makes inactive whether or not the calendar's turn has come to it yet."""
    policy = register.policy
    grace_until = dated.grace_until(register)
    filed = grace_until is None or on <= grace_until
    registration = dated.registration
    if registration == "registered" and not filed and made_inactive_by_calendar(register):
        registration = "inactive"
    return Facts(
        registration=registration,
        legal=dated.legal,
        organization_type=dated.organization_type,
        grade=dated.grade,
        mandate=axes.in_office(dated.terms, on, policy.expiring_days).status,
        freshness=axes.freshness(axes.verified_on(axes.confirmed(dated.confirmations, on)), on, policy),
        documents=frozenset(p.document_type for p in dated.papers if p.expires_on is None or on <= p.expires_on),
        filed=filed,
    )


def made_inactive_by_calendar(register: Register) -> bool:
    step = register.step("registered", "inactive")
    return step is not None and "calendar" in step.by


def turns(dated: Dated, register: Register) -> list[date]:
    """The days on which `facts` may differ from those of the day before, in order."""
    policy = register.policy
    days = axes.turns_of_office(dated.terms, policy.expiring_days)
    days |= axes.turns_of_freshness(dated.confirmations, policy)
    days |= {paper.expires_on + _DAY for paper in dated.papers if paper.expires_on not in (None, date.max)}
    grace_until = dated.grace_until(register)
    if grace_until is not None:
        days.add(grace_until + _DAY)
    return sorted(days)


def holds_until(purpose: Purpose, dated: Dated, on: date, register: Register) -> date | None:
    """The last day on which the judgement of `on` holds by the dates known; none: no date changes it."""
    now = judge(purpose, facts(dated, on, register))
    for day in turns(dated, register):
        if day > on and judge(purpose, facts(dated, day, register)) != now:
            return day - _DAY
    return None


def reasons_by_purpose(purposes: Iterable[Purpose], its: Facts) -> dict[str, list[str]]:
    return {purpose.code: list(judge(purpose, its)) for purpose in purposes}
