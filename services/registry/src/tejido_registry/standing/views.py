"""How standing is said."""

from datetime import date

from sqlalchemy.orm import Session

from tejido_registry.models import Organization
from tejido_registry.settings import jurisdiction
from tejido_registry.standing import rules, schemas, service
from tejido_shared.jurisdiction import Purpose
from tejido_shared.refusals import Refused
from tejido_shared.standing import in_words


def standings_out(session: Session, organization: Organization, purpose: str | None, on: date) -> schemas.StandingsOut:
    """For one purpose of the pack, or all. Raises `Refused` for one that it does not have."""
    known = service.dated(session, [organization])[organization.id]
    asked = [one for one in jurisdiction().registration.purpose if purpose in (None, one.code)]
    if purpose is not None and not asked:
        raise Refused("unknown_purpose", "query.purpose")
    return schemas.StandingsOut(
        organization_id=organization.id, on=on, standing=[_out(one, known, on) for one in asked]
    )


def _out(purpose: Purpose, known: rules.Dated, on: date) -> schemas.StandingOut:
    register = jurisdiction().registration
    reasons = rules.judge(purpose, rules.facts(known, on, register))
    return schemas.StandingOut(
        purpose=purpose.code,
        name=purpose.name,
        allowed=not reasons,
        reasons=[
            schemas.ReasonOut(code=code, axis=rules.axis_of(code), text=in_words(code, jurisdiction()))
            for code in reasons
        ],
        holds_until=rules.holds_until(purpose, known, on, register),
    )
