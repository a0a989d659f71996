"""The use cases. Each takes a session and never commits; none knows of HTTP or Celery."""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tejido_registry import checks
from tejido_registry.models import Contact, HistoryEntry, Identifier, NumberCounter, Organization
from tejido_registry.schemas import ContactIn, IdentifierIn
from tejido_registry.settings import jurisdiction, settings
from tejido_shared.clock import now
from tejido_shared.contracts import OrganizationChanged
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import receipt_number
from tejido_shared.outbox import emit_all
from tejido_shared.refusals import Refused

PACKAGE = "tejido_registry"
BATCH = 1000
COLUMNS = (
    "name",
    "public_name",
    "other_names",
    "organization_type",
    "address",
    "locality",
    "territory",
    "latitude",
    "longitude",
)
"""What is one column of an organization and may simply be changed."""
PUBLISHED = {"name", "organization_type", "registration_status", "territory"}
"""What other services are told of."""
TRANSITIONS = {
    "draft": {"submitted", "registered", "withdrawn"},
    "submitted": {"in_review", "withdrawn"},
    "in_review": {"needs_correction", "registered", "rejected", "withdrawn"},
    "needs_correction": {"in_review", "withdrawn"},
    "registered": {"inactive", "suspended", "withdrawn", "cancelled"},
    "inactive": {"registered", "suspended", "withdrawn", "cancelled"},
    "suspended": {"registered", "cancelled"},
    "rejected": {"submitted"},
    "withdrawn": {"submitted"},
    "cancelled": set(),
}
"""From each registration status, those an act may lead to. Nothing is ever deleted."""
UNREGISTERED = {"draft", "submitted", "in_review", "needs_correction"}


def checked(values: dict[str, Any], touched: Collection[str]) -> dict[str, Any]:
    """An organization's values as to store. Only what was touched is judged. Raises `Refused` with every flaw."""
    pack = jurisdiction()
    values = dict(values)
    flaws: list[checks.Flaw] = []
    if not {"organization_type", "identifiers"}.isdisjoint(touched):
        try:
            kind = pack.organization_type(values["organization_type"])
        except LookupError:
            flaws.append(("organization_type", "unknown_organization_type"))
        else:
            values["identifiers"], found = checks.identifiers(pack, kind, values["identifiers"])
            flaws += found
    if "contacts" in touched:
        values["contacts"], found = checks.contacts(pack, values["contacts"])
        flaws += found
    if (values["latitude"] is None) != (values["longitude"] is None):
        flaws.append(("longitude" if values["longitude"] is None else "latitude", "point_incomplete"))
    if flaws:
        raise Refused(fields=flaws)
    return values


def values_of(organization: Organization) -> dict[str, Any]:
    """What `checked` returns, of an organization that is stored."""
    return {name: getattr(organization, name) for name in COLUMNS} | {
        "identifiers": [
            IdentifierIn.model_construct(scheme=i.scheme, value=i.value, check_digit=i.check_digit)
            for i in organization.identifiers
        ],
        "contacts": [
            ContactIn.model_construct(name=c.name, post=c.post, email=c.email, phone=c.phone)
            for c in organization.contacts
        ],
    }


def create(session: Session, values: dict[str, Any], author: str) -> Organization:
    """Enters an organization in the register, numbers it and announces it. Raises `Refused`."""
    values = checked(values, values)
    _refuse_taken(session, values["identifiers"], None)
    [organization_id] = enter(session, [values], "created", author, [{}])
    return session.get_one(Organization, organization_id)


def enter(
    session: Session,
    entries: Sequence[dict[str, Any]],
    kind: str,
    author: str | None,
    details: Sequence[dict[str, Any]],
) -> list[UUID]:
    """Enters organizations with these checked values in as few statements as one. `details` go to the history of each. Raises `Refused`."""
    instant = now()
    organizations: list[dict[str, Any]] = []
    identifiers: list[dict[str, Any]] = []
    contacts: list[dict[str, Any]] = []
    for values in entries:
        key = new_id()
        organizations.append(
            {name: values[name] for name in (*COLUMNS, "registration_status")}
            | {"id": key, "version": 1, "registered_at": instant, "changed_at": instant}
        )
        identifiers += [
            _identifier_row(one) | {"id": new_id(), "organization_id": key} for one in values["identifiers"]
        ]
        contacts += [
            one.model_dump() | {"id": new_id(), "organization_id": key, "position": position}
            for position, one in enumerate(values["contacts"])
        ]
    history = [
        {
            "id": new_id(),
            "organization_id": organization["id"],
            "at": instant,
            "kind": kind,
            "author": author,
            "reason": None,
            "details": detail,
        }
        for organization, detail in zip(organizations, details, strict=True)
    ]
    # As late as can be: whoever holds the counter makes every other entry wait until the commit.
    for organization, number in zip(organizations, next_numbers(session, len(organizations)), strict=True):
        organization["number"] = number
    try:
        for model, rows in (
            (Organization, organizations),
            (Identifier, identifiers),
            (Contact, contacts),
            (HistoryEntry, history),
        ):
            if rows:
                session.execute(sa.insert(model), rows)
    except IntegrityError as error:
        raise _raced(error) from None
    _announce(session, organizations)
    return [organization["id"] for organization in organizations]


def change(session: Session, organization: Organization, changes: dict[str, Any], author: str) -> None:
    """Changes what differs, and announces it if others are told of it. Nothing different: nothing happens. Raises `Refused`."""
    different = differences(organization, changes)
    if not different:
        return
    if "identifiers" in different:
        _refuse_taken(session, different["identifiers"], organization.id)
    apply(organization, different)
    flush(session)
    record(session, organization, "changed", author, fields=sorted(different))
    if not PUBLISHED.isdisjoint(different):
        announce(session, [organization])


def differences(organization: Organization, changes: dict[str, Any]) -> dict[str, Any]:
    """Which of `changes`, checked, are not yet so. Raises `Refused`."""
    current = values_of(organization)
    wanted = checked(current | changes, changes)
    return {name: wanted[name] for name in changes if wanted[name] != current[name]}


def apply(organization: Organization, different: dict[str, Any]) -> None:
    """Writes differences to an organization; its version grows even if only a contact changed."""
    for name, value in different.items():
        if name == "identifiers":
            # Rows that stay are kept: an insert comes before a delete, and two of the same number may not be.
            present = {(i.scheme, i.value): i for i in organization.identifiers}
            organization.identifiers = [present.get((one.scheme, one.value)) or Identifier() for one in value]
            for row, one in zip(organization.identifiers, value, strict=True):
                for column, said in _identifier_row(one).items():
                    setattr(row, column, said)
        elif name == "contacts":
            organization.contacts = [Contact(position=p, **one.model_dump()) for p, one in enumerate(value)]
        else:
            setattr(organization, name, value)
    organization.changed_at = now()


def set_status(session: Session, organization: Organization, status: str, reason: str, author: str) -> None:
    """An act that moves the organization to another registration status. Raises `Refused` where the law of transitions has no such step."""
    before = organization.registration_status
    if status not in TRANSITIONS[before]:
        raise Refused("transition", before=before, after=status)
    organization.registration_status = status
    organization.changed_at = now()
    if status == "registered" and before in UNREGISTERED:
        organization.registered_at = organization.changed_at
    flush(session)
    record(session, organization, "status_changed", author, reason=reason, before=before, after=status)
    announce(session, [organization])


def announce(session: Session, organizations: Iterable[Organization]) -> None:
    """Tells the other services what is now known of these organizations, which must have been flushed."""
    names = ("id", "version", "number", *PUBLISHED)
    _announce(session, [{name: getattr(one, name) for name in names} for one in organizations])


def _announce(session: Session, organizations: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(organizations), BATCH):
        emit_all(
            session,
            [
                (
                    OrganizationChanged(
                        organization_id=one["id"],
                        number=one["number"],
                        name=one["name"],
                        organization_type=one["organization_type"],
                        status=one["registration_status"],
                        territory=one["territory"],
                    ),
                    one["version"],
                )
                for one in organizations[start : start + BATCH]
            ],
        )


def record(
    session: Session,
    organization: Organization,
    kind: str,
    author: str | None,
    *,
    reason: str | None = None,
    **details: Any,
) -> None:
    session.add(
        HistoryEntry(
            organization_id=organization.id, at=now(), kind=kind, author=author, reason=reason, details=details
        )
    )


def next_numbers(session: Session, count: int) -> list[str]:
    """The next numbers of this year's register, consecutive."""
    year = now().astimezone(jurisdiction().zone).year
    counter = insert(NumberCounter).values(year=year, last=count)
    last = session.scalar(
        counter.on_conflict_do_update(index_elements=["year"], set_={"last": NumberCounter.last + count}).returning(
            NumberCounter.last
        )
    )
    end = int(last or 0)
    return [receipt_number(settings().number_pattern, year, n) for n in range(end - count + 1, end + 1)]


def taken(session: Session, wanted: Iterable[IdentifierIn]) -> dict[tuple[str, str], UUID]:
    """Which of these identifiers an organization already has, of those that only one may have."""
    pairs = [(one.scheme, one.value) for one in wanted if is_exclusive(one.scheme)]
    if not pairs:
        return {}
    query = sa.select(Identifier.scheme, Identifier.value, Identifier.organization_id).where(
        Identifier.exclusive, sa.tuple_(Identifier.scheme, Identifier.value).in_(pairs)
    )
    return {(scheme, value): owner for scheme, value, owner in session.execute(query)}


def is_exclusive(scheme_code: str) -> bool:
    """Whether no two organizations may have the same number of this scheme."""
    return scheme_code in _exclusive_schemes()


@cache
def _exclusive_schemes() -> frozenset[str]:
    return frozenset(scheme.code for scheme in jurisdiction().identifier_schemes if scheme.unique)


def flush(session: Session) -> None:
    """Writes what is pending. Raises `Refused` if somebody else took an identifier at this very moment."""
    try:
        session.flush()
    except IntegrityError as error:
        raise _raced(error) from None


def _raced(error: IntegrityError) -> Exception:
    taken_now = "uq_identifier_scheme_value" in str(error.orig)
    return Refused(fields=[("identifiers", "identifier_taken")]) if taken_now else error


def _refuse_taken(session: Session, wanted: list[IdentifierIn], mine: UUID | None) -> None:
    owners = taken(session, wanted)
    flaws = [
        (f"identifiers.{index}.value", "identifier_taken")
        for index, one in enumerate(wanted)
        if owners.get((one.scheme, one.value), mine) != mine
    ]
    if flaws:
        raise Refused(fields=flaws)


def _identifier_row(one: IdentifierIn) -> dict[str, Any]:
    return one.model_dump() | {"exclusive": is_exclusive(one.scheme), "of_a_person": checks.of_a_person(one)}
