"""Who asks what, and how, without any date."""

from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from tejido_local.sample.registry import PlannedOrganization
from tejido_local.sample.town import Town
from tejido_requests.intake.schemas import Petitioner, VerbalPetitioner
from tejido_requests.intake.service import Place
from tejido_shared.jurisdiction import RequestType

_WAYS = {
    "web": 38,
    "account": 6,
    "anonymous": 9,
    "verbal": 14,
    "letter": 12,
    "itinerant_desk": 6,
    "mail": 8,
    "social_network": 4,
    "open311": 3,
}
"""Of each hundred requests, how they come."""
AT_ANY_HOUR = {"web", "account", "anonymous", "mail", "social_network", "open311"}
ENTERED_LATER = {"letter", "itinerant_desk"}


@dataclass(frozen=True)
class Asked:
    """One petition before it is filed. `other` is a second matter, subject and reasons, that somebody might add to it."""

    way: str
    channel: str
    subject: str
    reasons: str
    other: tuple[str, str]
    petitioner: Petitioner | None
    citizen: str | None
    organization_id: UUID | None
    project_id: UUID | None
    attachments: list[str]
    place: Place | None
    confidential: bool | None
    minor: bool
    priority_reason: str | None
    addressees: list[str]
    answers: dict[str, Any] = field(default_factory=dict)


def asked(town: Town, rng: Random, n: int, kind: RequestType, organization: PlannedOrganization) -> Asked:
    """What the n-th request asks, near where an organization is."""
    words = town.words
    way = rng.choices([*_WAYS], [*_WAYS.values()])[0]
    of_authority = kind.filed_by != "anyone"
    if of_authority:
        way = rng.choice(("letter", "mail"))
    territory = organization.body["territory"]
    about = {
        "barrio": organization.barrio,
        "territory": territory,
        "municipality": town.pack.name,
        "organization": organization.body["name"],
    }
    (subject, reasons), other = (rng.choice(town.said_of("requests", code)) for code in (kind.code, "_"))
    citizen = rng.choice([*words["citizens"]]) if way == "account" else None
    chance, identified, called = rng.random(), rng.random() < 0.5, rng.random() < 0.4
    email = None
    if citizen:
        email = f"{citizen}@tejido.example"
    elif chance < {"web": 0.4, "mail": 1, "open311": 0.5, "verbal": 0.2}.get(way, 0):
        email = f"persona.{n}@example.org"
    person: dict[str, Any] = {
        "name": words["citizens"][citizen] if citizen else town.person(rng),
        "identification": words["identity_document"].format(number=n) if identified or way == "verbal" else None,
        "email": email,
        "phone": town.phone(rng) if called else None,
        "address": None if email else words["address"].format(number=rng.randrange(100)),
        "representative_name": town.person(rng) if rng.random() < 0.05 else None,
    }
    if of_authority:
        person |= {"name": rng.choice(words["authorities"]), "identification": None, "representative_name": None}
    petitioner = None if way == "anonymous" else (VerbalPetitioner if way == "verbal" else Petitioner)(**person)
    named = petitioner is not None and not of_authority
    return Asked(
        way=way,
        channel={"account": "web", "anonymous": "web", "verbal": rng.choice(("counter", "phone"))}.get(way, way),
        subject=subject.format(**about),
        reasons=reasons.format(**about),
        other=(other[0].format(**about), other[1].format(**about)),
        petitioner=petitioner,
        citizen=citizen,
        organization_id=organization.id if "{organization}" in subject + reasons else None,
        project_id=None,
        attachments=rng.sample(words["attachments"], rng.choice((0, 0, 0, 1, 2))),
        place=_place(town, rng, territory) if not of_authority and rng.random() < 0.6 else None,
        confidential=True if named and rng.random() < 0.05 else None,
        minor=named and rng.random() < 0.04,
        priority_reason=rng.choice(words["priorities"]) if named and rng.random() < 0.05 else None,
        addressees=[rng.choice(town.pack.offices).name] if rng.random() < 0.15 else [],
        answers=_answers(town, rng, kind) if rng.random() < 0.6 else {},
    )


def _place(town: Town, rng: Random, territory: str) -> Place:
    area, latitude, longitude = town.spot(rng, territory)
    exact = rng.random() < 0.7
    return Place(
        address=town.words["address"].format(number=rng.randrange(100)),
        area=area,
        latitude=latitude if exact else None,
        longitude=longitude if exact else None,
    )


def _answers(town: Town, rng: Random, kind: RequestType) -> dict[str, Any]:
    """To what the type asks beyond the subject, as far as there are words for it. Dates would not stay the same from day to day."""
    said = town.words["fields"]
    found: dict[str, Any] = {}
    for wanted in kind.fields:
        if wanted.kind == "choice":
            found[wanted.code] = rng.choice(wanted.choices)
        elif wanted.kind == "text" and wanted.code in said:
            found[wanted.code] = rng.choice(said[wanted.code])
    return found
