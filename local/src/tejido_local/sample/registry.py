"""Organizations and their registration."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session
from stdnum.ar import cuit
from stdnum.co import nit

from tejido_local.identity import SAMPLE_ORGANIZATION
from tejido_local.sample.town import Step, Town, play, sample_id, shortest_path, spread
from tejido_registry import db as registry_db
from tejido_registry import service as registry_service
from tejido_registry.models import Organization
from tejido_registry.schemas import OrganizationIn
from tejido_shared.clock import now
from tejido_shared.jurisdiction import OrganizationType

ORGANIZATIONS = 300
OLDEST = 1600
"""Days since the first organization was registered."""
_REGISTRATION = {
    "registered": 84,
    "submitted": 3,
    "in_review": 3,
    "needs_correction": 2,
    "draft": 2,
    "inactive": 2,
    "suspended": 1,
    "rejected": 1,
    "withdrawn": 1,
    "cancelled": 1,
}
"""Of each hundred organizations."""


@dataclass(frozen=True)
class PlannedOrganization:
    """One to be entered. `course` are its registration statuses, `ages` how many days ago it got each."""

    id: UUID
    representative: UUID
    barrio: str
    body: dict[str, Any]
    course: list[str]
    ages: list[int]


def planned_organizations(town: Town) -> list[PlannedOrganization]:
    """The oldest first."""
    rng = town.rng("organizations")
    names = _organization_names(town, rng)
    statuses = spread(rng, _REGISTRATION, len(names))
    unfinished = registry_service.UNREGISTERED | {"rejected"}
    aged = []
    for (kind, name, barrio), status in zip(names, statuses, strict=True):
        age = rng.randint(14, 60) if status in unfinished else rng.randint(70, OLDEST - 1)
        aged.append((age, kind, name, barrio, status))
    # The sample user `representante` represents the first one.
    aged[0] = (OLDEST, *aged[0][1:4], "registered")
    aged.sort(key=itemgetter(0), reverse=True)
    return [_organization(town, n, *one) for n, one in enumerate(aged, 1)]


def still_registered(town: Town, registered: set[UUID]) -> list[PlannedOrganization]:
    return [one for one in planned_organizations(town) if one.course[-1] == "registered" and one.id in registered]


def _organization_names(town: Town, rng: Random) -> list[tuple[OrganizationType, str, str]]:
    """Type, name and barrio of each, no name twice; one of the pack's first type comes first."""
    kinds = town.pack.organization_types
    shares = {kind.code: town.words["shares"].get(kind.code, 10) for kind in kinds}
    found = []
    for kind in kinds:
        pairs = list(product(town.said_of("organizations", kind.code), town.words["barrios"]))
        rng.shuffle(pairs)
        names: dict[str, str] = {}
        for template, barrio in pairs:
            about = {"barrio": barrio, "territory": town.place(barrio), "municipality": town.pack.name}
            names.setdefault(template.format(kind=kind.name, **about), barrio)
        wanted = max(1, round(ORGANIZATIONS * shares[kind.code] / sum(shares.values())))
        found += [(kind, name, barrio) for name, barrio in islice(names.items(), wanted)]
    first, *others = found
    rng.shuffle(others)
    return [first, *others]


def _organization(
    town: Town, n: int, age: int, kind: OrganizationType, name: str, barrio: str, status: str
) -> PlannedOrganization:
    rng = town.rng("organization", n)
    starts = (
        ["draft", "submitted"] if status in registry_service.UNREGISTERED else ["draft", "registered", "registered"]
    )
    start = {"draft": "draft", "rejected": "submitted"}.get(status) or rng.choice(starts)
    course = shortest_path(rng, registry_service.TRANSITIONS, start, status)
    ages = [age]
    for before in course[:-1]:
        soon = before in registry_service.UNREGISTERED
        ages.append(ages[-1] - rng.randint(2, 4) if soon else rng.randint(1, ages[-1] - 1))
    territory = town.place(barrio)
    _, latitude, longitude = town.spot(rng, territory)
    initials = "".join(word[0] for word in name.replace(barrio, "").split() if word[0].isupper())
    contacts = [
        {
            "name": town.person(rng),
            "post": town.words["posts"][position % len(town.words["posts"])],
            "email": f"organizacion.{n}.{position + 1}@example.org",
            "phone": town.phone(rng),
        }
        for position in range(rng.choice((1, 1, 2, 3)))
    ]
    body = {
        "name": name,
        "public_name": f"{initials} {barrio}" if len(initials) > 1 and rng.random() < 0.4 else None,
        "other_names": [f"Vecinos de {barrio}"] if rng.random() < 0.1 else [],
        "organization_type": kind.code,
        "identifiers": _identifiers(rng, kind, n),
        "contacts": contacts,
        "address": town.words["address"].format(number=rng.randrange(100)) if rng.random() < 0.9 else None,
        "locality": town.pack.name,
        "territory": territory,
        "latitude": latitude,
        "longitude": longitude,
        "registration_status": course[0],
    }
    return PlannedOrganization(
        id=sample_id("organization", n),
        representative=sample_id("user", "representante" if n == 1 else f"representante-{n}"),
        barrio=barrio,
        body=body,
        course=course,
        ages=ages,
    )


def _identifiers(rng: Random, kind: OrganizationType, n: int) -> list[dict[str, str]]:
    """Numbers that no register gives, with the check digits they would have. Schemes that are not known here get none."""
    tax_number, year = f"{999_000_000 + n}", 1990 + rng.randrange(35)
    known = {
        "CO-NIT": {"value": tax_number, "check_digit": nit.calc_check_digit(tax_number)},
        "CO-PERSONERIA": {"value": f"Resolución de muestra {n:04d} de {year}"},
        "BOG-IDPAC": {"value": f"MUESTRA-{n:04d}"},
        "AR-CUIT": {"value": f"30{n:08d}" + cuit.calc_check_digit(f"30{n:08d}")},
        "AR-CENOC": {"value": f"{900_000 + n}"},
        "AR-INAES": {"value": f"MUESTRA {n:04d}"},
        "AR-PERSONERIA": {"value": f"Resolución de muestra {n:04d}/{year}"},
        "AR-BIBLIOTECA": {"value": f"{900_000 + n}"},
    }
    return [{"scheme": code} | known[code] for code in kind.identifier_schemes if code in known and rng.random() < 0.6]


def load(path: Path) -> tuple[int, set[UUID]]:
    """How many were entered now, and which are registered."""
    town = Town(path)
    plan = planned_organizations(town)
    with registry_db.tx() as session:
        added = session.get(Organization, SAMPLE_ORGANIZATION) is None
        if added:
            play(step for n, one in enumerate(plan, 1) for step in _registration(session, town, n, one))
        registered = session.scalars(
            sa.select(Organization.id).where(
                Organization.id.in_([one.id for one in plan]), Organization.registration_status == "registered"
            )
        ).all()
    return len(plan) if added else 0, set(registered)


def _registration(session: Session, town: Town, n: int, one: PlannedOrganization) -> Iterable[Step]:
    rng = town.rng("registration", n)
    registrar = str(sample_id("user", "registro"))

    def act(status: str, reason: str) -> None:
        organization = session.get_one(Organization, one.id)
        registry_service.set_status(session, organization, status, reason, registrar)

    instants = town.course(rng, one.ages)
    yield instants[0], partial(_enter, session, one, registrar)
    for instant, status in zip(instants[1:], one.course[1:], strict=True):
        yield instant, partial(act, status, rng.choice(town.said_of("status_reasons", status)))


def _enter(session: Session, one: PlannedOrganization, author: str) -> None:
    """As the use case `create`, under a key of the sample: by it others know its organizations."""
    values = dict(OrganizationIn(**one.body))
    number = registry_service.next_numbers(session, 1)[0]
    organization = Organization(id=one.id, number=number, registered_at=now())
    registry_service.apply(organization, registry_service.checked(values, values))
    session.add(organization)
    registry_service.flush(session)
    registry_service.record(session, organization, "created", author)
    registry_service.announce(session, [organization])
