"""Recording who holds office: a whole board after an election, one at a time, and the end of one before its term.

Nothing is overwritten: what was recorded by mistake is ended as an `error` and recorded anew. The organization must be locked.
"""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy.orm import Session

from tejido_registry import checks, service
from tejido_registry.mandates import queries, terms
from tejido_registry.mandates.schemas import BoardIn, EndIn, MandateIn, OfficeIn, PersonIn
from tejido_registry.models import Mandate, Organization, Person
from tejido_registry.queries import fold
from tejido_registry.renewal import service as renewal
from tejido_registry.schemas import ContactIn
from tejido_registry.settings import jurisdiction
from tejido_registry.standing.service import today
from tejido_shared.clock import now
from tejido_shared.deadlines import months_after
from tejido_shared.personal import fingerprints
from tejido_shared.refusals import Refused

EARLIEST = date(1950, 1, 1)
LONGEST_MONTHS = 120
AHEAD_MONTHS = 24
"""How long before it begins a mandate may be recorded."""
_DAY = timedelta(days=1)
_NUMBERS = {"cc": "[0-9]{5,10}", "dni": "[0-9]{6,9}", "ce": "[0-9A-Z]{4,15}"}
_OTHER = "[0-9A-Z]{3,30}"


def record_one(session: Session, organization: Organization, body: MandateIn, author: str) -> Mandate:
    """One person takes an office. Raises `Refused` for dates that cannot be, or an office that somebody else has."""
    starts_on, ends_on = _days(organization, body.starts_on, body.ends_on)
    [person] = _persons(session, organization, [body.person], ["person"])
    present = [
        one for one in queries.not_over(session, organization.id, starts_on, [body.organ]) if one.starts_on <= ends_on
    ]
    if any(_collide(one, body, person) for one in present):
        raise Refused("office_taken", "post")
    mandate = _mandate(organization, body, person, starts_on, ends_on, body.act, author)
    session.add(mandate)
    service.record(session, organization, "mandate_recorded", author, post=body.post, organ=body.organ)
    renewal.refresh(session, organization)
    return mandate


def elect(session: Session, organization: Organization, body: BoardIn, author: str) -> list[Mandate]:
    """A board takes office and those of its organs who were in it leave, in one write. Raises `Refused` if a later one is recorded."""
    starts_on, ends_on = _days(organization, body.starts_on, body.ends_on)
    persons = _persons(
        session,
        organization,
        [member.person for member in body.members],
        [f"members.{index}.person" for index in range(len(body.members))],
    )
    mandates: list[Mandate] = []
    flaws = []
    for index, (member, person) in enumerate(zip(body.members, persons, strict=True)):
        if any(_collide(one, member, person) for one in mandates):
            flaws.append((f"members.{index}.post", "office_repeated"))
        mandates.append(_mandate(organization, member, person, starts_on, ends_on, body.act, author))
    if flaws:
        raise Refused(fields=flaws)
    outgoing = queries.not_over(session, organization.id, starts_on, {member.organ for member in body.members})
    if any(one.starts_on >= starts_on for one in outgoing):
        raise Refused("later_board")
    for one in outgoing:
        one.ended_on, one.ended_why = starts_on - _DAY, "replaced"
    session.add_all(mandates)
    service.record(
        session, organization, "board_recorded", author, starts_on=f"{starts_on:%d/%m/%Y}", members=len(mandates)
    )
    renewal.refresh(session, organization)
    return mandates


def end(session: Session, organization: Organization, mandate: Mandate, body: EndIn, author: str) -> None:
    """A mandate ended before its term. Raises `Refused` if it had ended already, or the day does not lie within it."""
    if mandate.ended_why == "error" or (mandate.ended_on is not None and body.why != "error"):
        raise Refused("mandate_ended")
    if body.why == "error":
        mandate.ended_on = mandate.ended_on or mandate.starts_on
    else:
        if body.ended_on is None:
            raise Refused("ended_on_missing", "ended_on")
        if not mandate.starts_on <= body.ended_on < mandate.ends_on:
            raise Refused("not_in_mandate", "ended_on")
        mandate.ended_on = body.ended_on
    mandate.ended_why = body.why
    service.record(session, organization, "mandate_ended", author, post=mandate.post, organ=mandate.organ, why=body.why)
    renewal.refresh(session, organization)


def _days(organization: Organization, starts_on: date, ends_on: date | None) -> tuple[date, date]:
    """First and last day; the last is the law's where none is given."""
    if ends_on is None:
        rule = jurisdiction().mandate_term(organization.organization_type)
        term = terms.period(rule, starts_on) if rule is not None else None
        if term is None:
            raise Refused("ends_on_missing", "ends_on")
        ends_on = term.ends_on
    flaws = []
    if ends_on < starts_on:
        flaws.append(("ends_on", "dates_reversed"))
    elif starts_on < max(EARLIEST, organization.founded_on or EARLIEST):
        flaws.append(("starts_on", "mandate_too_early"))
    elif starts_on > months_after(today(), AHEAD_MONTHS):
        flaws.append(("starts_on", "mandate_too_far"))
    elif ends_on >= months_after(starts_on, LONGEST_MONTHS):
        flaws.append(("ends_on", "mandate_too_long"))
    if flaws:
        raise Refused(fields=flaws, years=LONGEST_MONTHS // 12, months=AHEAD_MONTHS)
    return starts_on, ends_on


def _collide(present: Mandate, office: OfficeIn, person: Person) -> bool:
    """Whether two mandates of the same days are one office twice: the same person in it, or two who both sign by virtue of it."""
    same = present.organ == office.organ and fold(present.post) == fold(office.post)
    return same and (present.person is person or (present.signs and office.signs))


def _mandate(
    organization: Organization,
    office: OfficeIn,
    person: Person,
    starts_on: date,
    ends_on: date,
    act: str | None,
    author: str,
) -> Mandate:
    return Mandate(
        organization_id=organization.id,
        person=person,
        organ=office.organ,
        post=office.post,
        signs=office.signs,
        starts_on=starts_on,
        ends_on=ends_on,
        act=act,
        recorded_by=author,
        recorded_at=now(),
    )


def _persons(
    session: Session, organization: Organization, given: Sequence[PersonIn], where: Sequence[str]
) -> list[Person]:
    """The persons given, each the one that is known by its document, in whatever organization, or a new one."""
    known = queries.persons_of(session, organization.id, {one.id for one in given if one.id is not None})
    flaws: list[tuple[str, str]] = []
    numbers: list[str | None] = []
    phones: list[str | None] = []
    for one, place in zip(given, where, strict=True):
        numbers.append(_number(one, place, flaws))
        phones.append(_phone(one.phone, place, flaws))
        if one.id is not None and one.id not in known:
            flaws.append((f"{place}.id", "unknown_person"))
    if flaws:
        raise Refused(fields=flaws)
    # The first mark is the one to store; the others are of keys that were in use before.
    marks = [[] if n is None else fingerprints(f"{p.document_kind} {n}") for p, n in zip(given, numbers, strict=True)]
    marked = queries.persons_marked(session, [mark for some in marks for mark in some])
    found = []
    for one, number, phone, its in zip(given, numbers, phones, marks, strict=True):
        person = next((marked[mark] for mark in its if mark in marked), None)
        if person is None:
            person = known[one.id] if one.id is not None else Person()
            session.add(person)
        said: dict[str, Any] = {"name": one.name, "email": one.email, "phone": phone}
        if its:
            said |= {"document_kind": one.document_kind, "document": number, "document_mark": its[0]}
            marked[its[0]] = person
        for name, value in said.items():
            if value is not None and getattr(person, name) != value:
                setattr(person, name, value)
        found.append(person)
    return found


def _number(person: PersonIn, place: str, flaws: list[tuple[str, str]]) -> str | None:
    """The number of the document without what people write between the digits."""
    if person.document is None or person.document_kind is None:
        return None
    number = re.sub(r"[\s.,\-/]", "", person.document).upper()
    if not re.fullmatch(_NUMBERS.get(person.document_kind, _OTHER), number):
        flaws.append((f"{place}.document", "document_number"))
    return number


def _phone(phone: str | None, place: str, flaws: list[tuple[str, str]]) -> str | None:
    if phone is None:
        return None
    contact = ContactIn.model_construct(name=None, post=None, email=None, phone=phone)
    [stored], found = checks.contacts(jurisdiction(), [contact])
    if found:
        flaws.append((f"{place}.phone", "phone"))
    return stored.phone
