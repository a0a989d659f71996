"""Organizations: what they are, and in which standing."""

from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from random import Random
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from stdnum.ar import cuit
from stdnum.co import nit

from tejido_local.identity import SAMPLE_ORGANIZATION
from tejido_local.sample.registering import Acts, Organized, Story
from tejido_local.sample.town import Town, play, sample_id, spread
from tejido_registry import db as registry_db
from tejido_registry.models import Organization
from tejido_shared.jurisdiction import OrganizationType

ORGANIZATIONS = 300
TWICE = 6
"""Organizations that are entered a second time, as another office knows them."""
OLDEST = 1600
"""Days since the first organization was registered."""
_STATUS = {
    "registered": 82,
    "submitted": 3,
    "in_review": 3,
    "needs_correction": 2,
    "draft": 3,
    "inactive": 3,
    "suspended": 1,
    "rejected": 1,
    "withdrawn": 1,
    "cancelled": 1,
}
_OFFICE = {"current": 62, "expiring": 12, "expired": 14, "vacant": 6, "unknown": 6}
_FRESHNESS = {"verified": 60, "due": 15, "stale": 10, "never": 15}
_LEGAL = {
    "incorporated": 52,
    "simple_association": 14,
    "de_facto": 16,
    "in_process": 8,
    "under_regularisation": 4,
    "in_liquidation": 2,
    "unsaid": 4,
}
_PROFILE = {"exact": 20, "blurred": 25, "hidden": 10, "none": 45}
"""Of each hundred organizations."""
_NEW = ("draft", "submitted", "in_review", "needs_correction", "rejected")


@dataclass(frozen=True)
class PlannedOrganization:
    """One to be entered. `entered`: how many days ago. `able`: it is in good standing for all that projects ask for."""

    id: UUID
    representative: UUID
    barrio: str
    body: dict[str, Any]
    story: Story
    entered: int
    able: bool


def planned_organizations(town: Town) -> list[PlannedOrganization]:
    """The oldest first; then those that are entered twice."""
    rng = town.rng("organizations")
    names = _organization_names(town, rng)
    aged = []
    for (kind, name, barrio), status in zip(names, spread(rng, _STATUS, len(names)), strict=True):
        oldest = {"inactive": 500, "cancelled": 200, "withdrawn": 200, "suspended": 200}.get(status, 70)
        aged.append(
            (rng.randint(14, 60) if status in _NEW else rng.randint(oldest, OLDEST - 1), kind, name, barrio, status)
        )
    # The sample user `representante` represents the first one.
    aged[0] = (OLDEST, *aged[0][1:4], "registered")
    aged.sort(key=lambda one: -one[0])
    stories = zip(*(spread(rng, shares, len(aged)) for shares in (_OFFICE, _FRESHNESS, _LEGAL, _PROFILE)), strict=True)
    plan = [_organization(town, n, *one, *said) for n, (one, said) in enumerate(zip(aged, stories, strict=True), 1)]
    return plan + [_again(town, len(plan) + n, one) for n, one in enumerate(_to_double(plan), 1)]


def still_registered(town: Town, registered: set[UUID]) -> list[PlannedOrganization]:
    plan = planned_organizations(town)
    return [one for one in plan if one.story.status == "registered" and not one.story.doubles and one.id in registered]


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
    town: Town,
    n: int,
    age: int,
    kind: OrganizationType,
    name: str,
    barrio: str,
    status: str,
    office: str,
    freshness: str,
    legal: str,
    profile: str,
) -> PlannedOrganization:
    rng = town.rng("organization", n)
    if n == 1:
        office, freshness, legal, profile = "current", "verified", "incorporated", "exact"
    able = status == "registered" and office in ("current", "expiring") and legal == "incorporated"
    late = status == "registered" and not able and rng.random() < 0.15
    said = {theme.code for theme in town.pack.registration.theme}
    populations = [population.code for population in town.pack.registration.population]
    territory = town.place(barrio)
    area, latitude, longitude = town.spot(rng, territory)
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
        "legal_status": None if legal == "unsaid" else legal,
        "purpose": rng.choice(town.words["purposes"]) if rng.random() < 0.8 else None,
        "founded_on": f"{rng.randint(1985, 2018)}-0{rng.randint(1, 9)}-{rng.randint(10, 28)}",
        "website": f"https://organizacion-{n}.example.org" if rng.random() < 0.2 else None,
        "themes": rng.sample(sorted(said), min(len(said), rng.choice((1, 1, 2, 3)))),
        "populations": rng.sample(populations, min(len(populations), rng.choice((0, 1, 1, 2)))),
        "identifiers": _identifiers(rng, kind, n),
        "contacts": contacts,
        "address": town.words["address"].format(number=rng.randrange(100)) if rng.random() < 0.9 else None,
        "locality": town.pack.name,
        "territory": territory,
        # Some were typed without looking at the map: then the point tells.
        "area": area if rng.random() < 0.8 else None,
        "neighborhood": barrio,
        "latitude": latitude if rng.random() < 0.93 else None,
        "longitude": longitude,
    }
    body["longitude"] = longitude if body["latitude"] is not None else None
    story = Story(
        n=n,
        status=status,
        applied=status in _NEW or (status == "registered" and age < 400 and rng.random() < 0.5),
        on_line=rng.random() < 0.5,
        office=office if status not in _NEW else "unknown",
        freshness=freshness if status not in _NEW else "never",
        profile=profile if status not in _NEW else "none",
        filed=rng.choice((375, 400, 415)) if late else rng.randint(10, 340),
        papers=able,
        bounced=status == "registered" and rng.random() < 0.03,
        filing=_FILINGS[n % 40] if status == "registered" and n % 40 in _FILINGS else "none",
        certified=able and n % 9 == 1,
    )
    return PlannedOrganization(
        id=sample_id("organization", n),
        representative=sample_id("user", "representante" if n == 1 else f"representante-{n}"),
        barrio=barrio,
        body=body,
        story=story,
        entered=age,
        able=able,
    )


_FILINGS: dict[int, Literal["submitted", "in_review", "accepted"]] = {5: "submitted", 15: "in_review", 25: "accepted"}


def _to_double(plan: list[PlannedOrganization]) -> list[PlannedOrganization]:
    return [one for one in plan[1:] if one.story.status == "registered"][:TWICE]


def _again(town: Town, n: int, of: PlannedOrganization) -> PlannedOrganization:
    """The same organization as another office wrote it down: another spelling, no numbers, and nothing known of it."""
    rng = town.rng("again", n)
    name = of.body["name"]
    spelt = rng.choice(
        (name.upper(), name.replace("de ", "", 1), name.replace("í", "i").replace("é", "e") + ".", f"{name} ")
    )
    body = of.body | {
        "name": spelt.strip() if spelt.strip() != name else f"La {name}",
        "public_name": None,
        "other_names": [],
        "legal_status": None,
        "website": None,
        "identifiers": [],
        "contacts": [
            {"name": None, "post": None, "email": None, "phone": one["phone"]}
            for one in of.body["contacts"]
            if one["phone"]
        ][:1],
    }
    story = Story(n=n, status="registered", doubles=of.story.n, filed=100)
    return PlannedOrganization(
        sample_id("organization", n), sample_id("user", f"representante-{n}"), of.barrio, body, story, 90, able=False
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
            acts = Acts(session, town)
            acts.draw_areas()
            organized = [Organized(one.id, str(one.representative), one.body, one.story, one.entered) for one in plan]
            play(step for one in organized for step in acts.steps(one))
            acts.settle(organized)
        registered = session.scalars(
            sa.select(Organization.id).where(
                Organization.id.in_([one.id for one in plan]), Organization.registration_status == "registered"
            )
        ).all()
    return len(plan) if added else 0, set(registered)
