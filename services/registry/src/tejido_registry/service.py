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
from tejido_registry.models import Branch, Contact, HistoryEntry, Identifier, NumberCounter, Organization
from tejido_registry.schemas import BranchIn, ContactIn, IdentifierIn
from tejido_registry.settings import jurisdiction, settings
from tejido_registry.standing import service as standing
from tejido_registry.territories import service as territories
from tejido_shared.clock import now
from tejido_shared.contracts import OrganizationChanged, Sealed
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import receipt_number
from tejido_shared.outbox import emit_all
from tejido_shared.personal import seal
from tejido_shared.refusals import NotForThem, Refused

PACKAGE = "tejido_registry"
today = standing.today
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
    "area",
    "area_found",
    "neighborhood",
    "legal_status",
    "purpose",
    "founded_on",
    "website",
    "themes",
    "populations",
)
"""What is one column of an organization and may simply be changed; `area_found` only follows from the point."""
PLACED = {"latitude", "longitude", "area", "territory", "neighborhood"}
"""What has the place looked at again."""
PUBLISHED = {
    *("name", "organization_type", "registration_status", "territory", "area", "themes", "legal_status"),
    *("mandate_status", "mandate_until", "freshness", "standing", "merged_into"),
}
"""What other services are told of."""
UNREGISTERED = {"draft", "submitted", "in_review", "needs_correction"}


def checked(values: dict[str, Any], touched: Collection[str]) -> dict[str, Any]:
    """An organization's values as to store. Only what was touched is judged. Raises `Refused` with every flaw."""
    pack = jurisdiction()
    values = {"area_found": None} | values
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
    if "branches" in touched:
        values["branches"], found = checks.branches(pack, values["branches"])
        flaws += found
    for field, known in (("themes", pack.registration.theme), ("populations", pack.registration.population)):
        if field in touched:
            values[field], found = checks.codes(field, values[field], known, f"unknown_{field.removesuffix('s')}")
            flaws += found
    if "area" in touched and values["area"] is not None:
        code = checks.area(pack, values["area"])
        if code is None:
            flaws.append(("area", "unknown_area"))
        values["area"] = code
    if "territory" in touched and ("area" not in touched or values["area"] is None):
        values["area"] = checks.area(pack, values["territory"]) or values["area"]
    if "founded_on" in touched and values["founded_on"] is not None and values["founded_on"] > today():
        flaws.append(("founded_on", "day_in_future"))
    if (
        "legal_status" in touched
        and values["legal_status"] == "de_facto"
        and not pack.registration.policy.admits_without_legal_personality
    ):
        flaws.append(("legal_status", "legal_personality_needed"))
    flaws += checks.point(values["latitude"], values["longitude"])
    if flaws:
        raise Refused(fields=flaws)
    return values


def placed(values: dict[str, Any], area: str | None, neighborhood: str | None) -> dict[str, Any]:
    """The values with what their point lies in: it is said where nobody said otherwise, and kept beside what was typed."""
    return values | {
        "area_found": area,
        "area": values["area"] or area,
        "neighborhood": values["neighborhood"] or neighborhood,
    }


def values_of(organization: Organization) -> dict[str, Any]:
    """What `checked` returns, of an organization that is stored; its branches apart, see `branches_of`."""
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


def branches_of(organization: Organization) -> dict[str, Any]:
    """The same of its branches, which are read only where they are asked for."""
    return {
        "branches": [
            BranchIn.model_construct(**{name: getattr(one, name) for name in BranchIn.model_fields})
            for one in organization.branches
        ]
    }


def create(session: Session, values: dict[str, Any], author: str, *, on_behalf: bool = True) -> Organization:
    """Enters an organization in the register, numbers it and announces it. Raises `Refused`.

    Without `on_behalf` the author acts for it: it can only be a draft, and nobody begins more of them than they need.
    """
    if not on_behalf:
        if values["registration_status"] != "draft":
            raise NotForThem("only_drafts")
        most = settings().drafts_per_person
        begun = Organization.captured_by == author, ~Organization.on_behalf, Organization.registration_status == "draft"
        if (session.scalar(sa.select(sa.func.count()).where(*begun)) or 0) >= most:
            raise Refused("drafts_full", most=most)
    values = _located(session, checked(values, values), values)
    _refuse_taken(session, values["identifiers"], None)
    [organization_id] = enter(session, [values], "created", author, [{}], on_behalf=on_behalf)
    return session.get_one(Organization, organization_id)


def enter(
    session: Session,
    entries: Sequence[dict[str, Any]],
    kind: str,
    author: str | None,
    details: Sequence[dict[str, Any]],
    *,
    on_behalf: bool = True,
) -> list[UUID]:
    """Enters organizations with these checked values in as few statements as one. `details` go to the history of each. Raises `Refused`."""
    instant = now()
    organizations: list[dict[str, Any]] = []
    identifiers: list[dict[str, Any]] = []
    contacts: list[dict[str, Any]] = []
    branches: list[dict[str, Any]] = []
    for values in entries:
        key = new_id()
        organizations.append(
            {name: values[name] for name in (*COLUMNS, "registration_status")}
            | standing.of_new(values)
            | {"id": key, "version": 1, "registered_at": instant, "changed_at": instant}
            | {"captured_by": author, "on_behalf": on_behalf}
        )
        identifiers += [
            _identifier_row(one) | {"id": new_id(), "organization_id": key} for one in values["identifiers"]
        ]
        contacts += [
            one.model_dump() | {"id": new_id(), "organization_id": key, "position": position}
            for position, one in enumerate(values["contacts"])
        ]
        branches += [
            one.model_dump() | {"id": new_id(), "organization_id": key, "position": position}
            for position, one in enumerate(values.get("branches", ()))
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
            (Branch, branches),
            (HistoryEntry, history),
        ):
            if rows:
                # The table's insert, not the mapped class's: that one is a statement for each set of fields that are empty.
                mapped: Any = sa.inspect(model)
                session.execute(sa.insert(mapped.local_table), rows)
    except IntegrityError as error:
        raise _raced(error) from None
    _announce(session, organizations)
    return [organization["id"] for organization in organizations]


def change(session: Session, organization: Organization, changes: dict[str, Any], author: str) -> set[str]:
    """Changes what differs, and announces it if others are told of it. Returns what did. Raises `Refused`."""
    current = _current(organization, changes)
    wanted = _located(session, checked(current | changes, changes), changes)
    different = {name: value for name, value in wanted.items() if value != current[name]}
    if not different:
        return set()
    if "identifiers" in different:
        _refuse_taken(session, different["identifiers"], organization.id)
    apply(organization, different)
    flush(session)
    record(session, organization, "changed", author, fields=sorted(different))
    if not PUBLISHED.isdisjoint(different):
        announce(session, [organization])
    return set(different)


def differences(organization: Organization, changes: dict[str, Any]) -> dict[str, Any]:
    """Which of `changes`, checked, are not yet so, and what follows from them. Raises `Refused`."""
    current = _current(organization, changes)
    wanted = checked(current | changes, changes)
    return {name: value for name, value in wanted.items() if value != current[name]}


def _current(organization: Organization, changes: Collection[str]) -> dict[str, Any]:
    return values_of(organization) | (branches_of(organization) if "branches" in changes else {})


def _located(session: Session, values: dict[str, Any], touched: Collection[str]) -> dict[str, Any]:
    """The values with what their point lies in, where the place was touched."""
    if PLACED.isdisjoint(touched):
        return values
    if values["latitude"] is None:
        return placed(values, None, None)
    found = territories.place(session, values["latitude"], values["longitude"])
    return placed(values, found.area, found.neighborhood)


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
            if {one.email for one in value} != {one.email for one in organization.contacts}:
                organization.contact_bounced_at = None  # it has another address now
            organization.contacts = [Contact(position=p, **one.model_dump()) for p, one in enumerate(value)]
        elif name == "branches":
            organization.branches = [Branch(position=p, **one.model_dump()) for p, one in enumerate(value)]
        else:
            setattr(organization, name, value)
    organization.changed_at = now()


def recipient(organization: Organization) -> dict[str, Sealed | None]:
    """To whom an event about this organization is told: its first contact with an e-mail address, sealed."""
    found = next((one for one in organization.contacts if one.email), None)
    if found is None or not found.email:
        return {"recipient_name": None, "recipient_email": None}
    return {
        "recipient_name": Sealed(seal(found.name)) if found.name else None,
        "recipient_email": Sealed(seal(found.email)),
    }


def announce(session: Session, organizations: Iterable[Organization]) -> None:
    """Tells the other services what is now known of these organizations, which must have been flushed. What each may do is judged anew."""
    told = list(organizations)
    standing.keep(session, told)
    names = ("id", "version", "number", *PUBLISHED)
    _announce(session, [{name: getattr(one, name) for name in names} for one in told])


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
                        territory=one.get("area") or one["territory"],
                        themes=one.get("themes", []),
                        legal_status=one.get("legal_status"),
                        mandate_status=one.get("mandate_status", "unknown"),
                        mandate_until=one.get("mandate_until"),
                        freshness=one.get("freshness", "never"),
                        standing=standing.told(one["standing"]),
                        merged_into=one.get("merged_into"),
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


def next_numbers(session: Session, count: int = 1, series: str = "organization") -> list[str]:
    """The next numbers of this year in a series (`organization`, `application` or `certificate`), consecutive."""
    year = now().astimezone(jurisdiction().zone).year
    counter = insert(NumberCounter).values(series=series, year=year, last=count)
    last = session.scalar(
        counter.on_conflict_do_update(
            index_elements=["series", "year"], set_={"last": NumberCounter.last + count}
        ).returning(NumberCounter.last)
    )
    end = int(last or 0)
    pattern = settings().patterns[series]
    return [receipt_number(pattern, year, n) for n in range(end - count + 1, end + 1)]


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
