"""What organizations may do, judged from what the register holds. A constant number of statements, however many they are."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from tejido_registry.models import Organization
from tejido_registry.renewal import dates
from tejido_registry.settings import jurisdiction
from tejido_registry.standing import queries
from tejido_registry.standing.rules import Dated, Facts, facts, reasons_by_purpose
from tejido_shared import contracts
from tejido_shared.clock import now

_TABLE: Any = sa.inspect(Organization).local_table


def today() -> date:
    """The day it is in the municipality."""
    return now().astimezone(jurisdiction().zone).date()


def dated(session: Session, organizations: Sequence[Organization]) -> dict[UUID, Dated]:
    """What is known of each, with the dates."""
    ids = [one.id for one in organizations]
    if not ids:
        return {}
    terms, confirmations = queries.terms(session, ids), queries.confirmations(session, ids)
    papers, filing = queries.papers(session, ids), queries.filing(session, ids)
    return {
        one.id: Dated(
            registration=one.registration_status,
            legal=one.legal_status,
            organization_type=one.organization_type,
            grade=_grade(one.organization_type),
            terms=tuple(terms.get(one.id, ())),
            confirmations=tuple(confirmations.get(one.id, ())),
            papers=tuple(papers.get(one.id, ())),
            filing_due_on=one.filing_due_on,
            filing_pending=one.id in filing,
        )
        for one in organizations
    }


def of(session: Session, organizations: Sequence[Organization], on: date) -> dict[UUID, list[contracts.Standing]]:
    """What each may do on a day, purpose by purpose of the pack."""
    found = dated(session, organizations)
    return {key: told(reasons(one, on)) for key, one in found.items()}


def reasons(known: Dated, on: date) -> dict[str, list[str]]:
    """Purpose: codes of why not. Not to be changed, for it is shared."""
    return _reasons(facts(known, on, jurisdiction().registration))


def of_new(values: Mapping[str, Any]) -> dict[str, Any]:
    """What to write of an organization that is just being entered with these values, of which nothing else is recorded yet."""
    return _of_new(values["registration_status"], values.get("legal_status"), values["organization_type"], today())


def told(standing: Mapping[str, Iterable[str]]) -> list[contracts.Standing]:
    """As an event says it."""
    return [_told(purpose, tuple(why)) for purpose, why in standing.items()]


def keep(session: Session, organizations: Sequence[Organization]) -> None:
    """Judges organizations anew and writes what is no longer so; they keep their version, for it is told with a change of theirs."""
    found, day = dated(session, organizations), today()
    changed = []
    for one in organizations:
        standing = reasons(found[one.id], day)
        if standing != one.standing:
            set_committed_value(one, "standing", standing)
            changed.append({"key": one.id, "said": standing})
    if changed:
        session.connection().execute(
            sa.update(_TABLE).where(_TABLE.c.id == sa.bindparam("key")).values(standing=sa.bindparam("said")),
            changed,
        )


# Of thousands of organizations most are alike, so that few judgements serve them all.
@lru_cache(maxsize=1024)
def _of_new(registration: str, legal: str | None, organization_type: str, day: date) -> dict[str, Any]:
    register = jurisdiction().registration
    known = Dated(
        registration=registration,
        legal=legal,
        organization_type=organization_type,
        grade=_grade(organization_type),
        filing_due_on=dates.next_filing(day, register) if registration == "registered" else None,
    )
    return {
        "standing": reasons(known, day),
        "filing_due_on": known.filing_due_on,
        "axes_due_on": dates.due_on(known, day, register),
    }


@lru_cache(maxsize=4096)
def _reasons(its: Facts) -> dict[str, list[str]]:
    return reasons_by_purpose(jurisdiction().registration.purpose, its)


@lru_cache(maxsize=4096)
def _told(purpose: str, why: tuple[str, ...]) -> contracts.Standing:
    return contracts.Standing(purpose=purpose, allowed=not why, reasons=list(why))


def _grade(organization_type: str) -> int | None:
    return _grades().get(organization_type)


@cache
def _grades() -> dict[str, int | None]:
    return {kind.code: kind.grade for kind in jurisdiction().organization_types}
