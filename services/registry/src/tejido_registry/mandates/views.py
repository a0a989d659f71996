"""How mandates are shown, and to whom with the persons. Who sees a person is written down."""

from collections.abc import Iterable, Sequence
from datetime import date

from sqlalchemy.orm import Session

from tejido_registry.mandates import queries, terms
from tejido_registry.mandates.schemas import MandateOut, PersonOut, TermOut, TermsOut
from tejido_registry.models import Mandate, Organization, Person
from tejido_registry.queries import acts_for, is_official
from tejido_registry.settings import jurisdiction
from tejido_registry.standing.service import today
from tejido_shared.auth import Principal


def shown(
    session: Session, caller: Principal | None, organization: Organization, mandates: Sequence[Mandate]
) -> list[MandateOut]:
    """As the caller may see them: persons for officials and the organization's own representative, how to reach them for officials."""
    official = is_official(caller)
    if caller is None or not (official or acts_for(caller, organization)):
        return [_out(one, None) for one in mandates]
    queries.note_seen(session, organization.id, caller.subject, (one.person_id for one in mandates))
    return [_out(one, _person(one.person, reach=official)) for one in mandates]


def terms_out(organization_type: str, on: date) -> TermsOut:
    rule = jurisdiction().mandate_term(organization_type)
    if rule is None:
        return TermsOut(current=None, next=None)

    def out(period: terms.Period | None) -> TermOut | None:
        if period is None:
            return None
        return TermOut(starts_on=period.starts_on, ends_on=period.ends_on, election=rule.election, article=rule.article)

    return TermsOut(current=out(terms.period(rule, on)), next=out(terms.next_period(rule, on)))


def _out(mandate: Mandate, person: PersonOut | None) -> MandateOut:
    names: Iterable[str] = MandateOut.model_fields.keys() - {"person", "in_office", "ended_why"}
    last = mandate.ended_on or mandate.ends_on
    return MandateOut(
        **{name: getattr(mandate, name) for name in names},
        # Why somebody left says something of a person, whom an office and a date make known.
        ended_why=mandate.ended_why if person is not None else None,
        in_office=mandate.ended_why != "error" and mandate.starts_on <= today() <= last,
        person=person,
    )


def _person(person: Person, *, reach: bool) -> PersonOut:
    return PersonOut(
        id=person.id,
        name=person.name,
        document_kind=person.document_kind,
        document=person.document,
        email=person.email if reach else None,
        phone=person.phone if reach else None,
    )
