"""The sample municipality of `./tejido up --sample`: fictional, plausible, and the same on every machine for a jurisdiction.

Everything follows from `SEED`, the pack and `sample_data.toml`, except the dates: they are counted back from today, so that
there are always requests that came this morning, that are due soon and that are overdue. Tracking codes are random, as they must.

Records go through the use cases of the services, with the clock at the moment of each: numbers, histories, alarms and events
are what they would be had it all happened. What a service loads is one transaction; it is known again by keys that only the
sample has, and then nothing is added.
"""

import multiprocessing
import os
import time
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from functools import cache, cached_property, partial
from itertools import islice, product
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.orm import Session
from stdnum.ar import cuit
from stdnum.co import nit

from tejido_local.identity import SAMPLE_ORGANIZATION
from tejido_local.texts import say
from tejido_projects import db as projects_db
from tejido_projects import service as projects_service
from tejido_projects.models import KnownOrganization, Project
from tejido_projects.schemas import Point, ProjectIn
from tejido_projects.settings import stages
from tejido_registry import db as registry_db
from tejido_registry import service as registry_service
from tejido_registry.models import Organization
from tejido_registry.schemas import OrganizationIn
from tejido_requests import db as requests_db
from tejido_requests import service as requests_service
from tejido_requests import settings as requests_settings
from tejido_requests.deadlines import Deadline
from tejido_requests.models import ServiceRequest
from tejido_requests.schemas import Petitioner, VerbalPetitioner
from tejido_shared.auth import Principal
from tejido_shared.clock import moved_to, now
from tejido_shared.jurisdiction import OrganizationType, RequestType, Role
from tejido_shared.jurisdiction import load as load_pack

if TYPE_CHECKING:
    from tejido_local.up import House

SEED = "tejido 1"
ORGANIZATIONS, PROJECTS, REQUESTS = 300, 120, 400
OLDEST = 1600
"""Days since the first organization was registered."""
PATIENCE = 60.0
"""Seconds that the registry's events may take to reach the projects service."""

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
_OUTCOMES = {"fresh": 10, "open": 13, "due_soon": 11, "overdue": 11, "answered": 10, "on_time": 33, "late": 12}
"""Of each hundred requests. `answered`: the proof that the answer arrived is pending; the last two are notified."""
_WAYS = {
    "web": 40,
    "account": 6,
    "anonymous": 9,
    "verbal": 14,
    "letter": 13,
    "itinerant_desk": 6,
    "mail": 8,
    "social_network": 4,
}
"""Of each hundred requests, how they come."""
_AT_ANY_HOUR = {"web", "account", "anonymous", "mail", "social_network"}
_ENTERED_LATER = {"letter", "itinerant_desk"}
_USERS = {
    Role.OFFICER: "funcionaria",
    Role.HEAD: "jefatura",
    Role.PROJECT_EVALUATOR: "evaluacion",
    Role.SUPERVISOR: "supervision",
}

_P = ParamSpec("_P")
_T = TypeVar("_T")
Step = tuple[datetime, Callable[[], object]]


def sample_id(kind: str, name: object) -> UUID:
    """The fixed key of something of the sample: organization 1, user funcionaria (as the identity provider makes it) …"""
    return uuid5(NAMESPACE_URL, f"https://tejido.example/sample/{kind}/{name}")


def load(house: "House") -> None:
    """Loads the sample into the house, which must be running, and says how much of it was new.

    Raises `TimeoutError` when events do not get from the registry to the projects service.
    """
    path = house.jurisdiction
    added, registered = _within(house.environments["registry"], _load_organizations, path)
    say("sample.registry", count=added)
    added, projects = _within(house.environments["projects"], _load_projects, path, registered)
    say("sample.projects", count=added)
    say("sample.requests", count=_within(house.environments["requests"], _load_requests, path, registered, projects))


def _within(environment: Mapping[str, str], act: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What `act` returns in a process with a service's environment, which a process reads only once."""
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, fork, os.environ.update, (dict(environment),)) as process:
        return process.submit(act, *args, **kwargs).result()


def _play(steps: Iterable[Step]) -> None:
    """Takes each step with the clock at its instant, in order of time."""
    for instant, act in sorted(steps, key=itemgetter(0)):
        with moved_to(instant):
            act()


class _Town:
    """The municipality that the records are of: its pack, its words, its days."""

    def __init__(self, path: Path) -> None:
        self.pack = load_pack(path)
        sections = tomllib.loads(Path(__file__).with_name("sample_data.toml").read_text("utf-8"))
        self.words: dict[str, Any] = {}
        for section in ("generic", self.pack.country, self.pack.code):
            for key, value in sections.get(section, {}).items():
                self.words[key] = self.words.get(key, {}) | value if isinstance(value, dict) else value
        self.now = now()
        self.today = self.now.astimezone(self.pack.zone).date()
        self._closed = {day for closure in self.pack.closures for day in closure.days()}

    def rng(self, kind: str, n: int = 0) -> Random:
        """Each record draws by itself, so that none depends on the dates of another."""
        return Random(f"{SEED} {self.pack.code} {kind} {n}")

    def said_of(self, kind: str, code: str) -> list[Any]:
        texts: dict[str, list[Any]] = self.words[kind]
        return texts.get(code, texts["_"])

    def is_open(self, day: date) -> bool:
        return self.pack.counting.weekdays[day.weekday()] == "1" and day not in self._closed

    def open_days(self, after: date, until: date) -> list[date]:
        """The open days strictly after one day and up to another."""
        days = (after + timedelta(days=n) for n in range(1, (until - after).days + 1))
        return [day for day in days if self.is_open(day)]

    def at(self, day: date, hour: float) -> datetime:
        return datetime.combine(day, time_of_day(), self.pack.zone) + timedelta(hours=hour)

    def at_work(self, rng: Random, day: date) -> datetime:
        """In office hours of that day or of the last open one before it."""
        hour = rng.uniform(8, 16)
        while not self.is_open(day):
            day -= timedelta(days=1)
        return self.at(day, hour)

    def course(self, rng: Random, ages: list[int]) -> list[datetime]:
        """An instant in office hours for each of these days ago, each after the one before."""
        instants: list[datetime] = []
        for age in ages:
            instant = self.at_work(rng, self.today - timedelta(days=age))
            instants.append(max(instant, instants[-1] + timedelta(minutes=20)) if instants else instant)
        return instants

    def person(self, rng: Random) -> str:
        return " ".join(rng.choice(self.words[kind]) for kind in ("given_names", "surnames", "plant_surnames"))

    def place(self, barrio: str) -> tuple[str, tuple[float, float] | None]:
        """The territory a barrio lies in, and its centre, latitude and longitude, where it is known."""
        territories = self.words["territories"]
        name, *centre = territories[self.words["barrios"].index(barrio) % len(territories)]
        return name, (centre[0], centre[1]) if centre else None

    def phone(self, rng: Random) -> str | None:
        number = rng.randrange(100)
        return rng.choice(self.words["phones"]).format(number=number) if self.words["phones"] else None


def _spread(rng: Random, of_each_hundred: Mapping[str, int], count: int) -> list[str]:
    hundred = [name for name, times in of_each_hundred.items() for _ in range(times)]
    rng.shuffle(hundred)
    return [hundred[n % len(hundred)] for n in range(count)]


def _path(rng: Random, steps: Mapping[str, Collection[str]], start: str, goal: str) -> list[str]:
    """A shortest way from one state to another, both included; empty where there is none."""
    paths, reached = {start: [start]}, [start]
    for state in reached:
        for to in rng.sample(sorted(steps[state]), len(steps[state])):
            if to not in paths:
                paths[to] = [*paths[state], to]
                reached.append(to)
    return paths.get(goal, [])


# Organizations


@dataclass(frozen=True)
class _Organization:
    """One to be entered. `course` are its registration statuses, `ages` how many days ago it got each."""

    id: UUID
    representative: UUID
    barrio: str
    body: dict[str, Any]
    course: list[str]
    ages: list[int]


def _organizations(town: _Town) -> list[_Organization]:
    """The oldest first."""
    rng = town.rng("organizations")
    names = _organization_names(town, rng)
    statuses = _spread(rng, _REGISTRATION, len(names))
    unfinished = registry_service.UNREGISTERED | {"rejected"}
    aged = []
    for (kind, name, barrio), status in zip(names, statuses, strict=True):
        age = rng.randint(14, 60) if status in unfinished else rng.randint(70, OLDEST - 1)
        aged.append((age, kind, name, barrio, status))
    # The sample user `representante` represents the first one.
    aged[0] = (OLDEST, *aged[0][1:4], "registered")
    aged.sort(key=itemgetter(0), reverse=True)
    return [_organization(town, n, *one) for n, one in enumerate(aged, 1)]


def _registered(town: _Town, registered: set[UUID]) -> list[_Organization]:
    return [one for one in _organizations(town) if one.course[-1] == "registered" and one.id in registered]


def _organization_names(town: _Town, rng: Random) -> list[tuple[OrganizationType, str, str]]:
    """Type, name and barrio of each, no name twice; one of the pack's first type comes first."""
    kinds = town.pack.organization_types
    shares = {kind.code: town.words["shares"].get(kind.code, 10) for kind in kinds}
    found = []
    for kind in kinds:
        pairs = list(product(town.said_of("organizations", kind.code), town.words["barrios"]))
        rng.shuffle(pairs)
        names: dict[str, str] = {}
        for template, barrio in pairs:
            about = {"barrio": barrio, "territory": town.place(barrio)[0], "municipality": town.pack.name}
            names.setdefault(template.format(kind=kind.name, **about), barrio)
        wanted = max(1, round(ORGANIZATIONS * shares[kind.code] / sum(shares.values())))
        found += [(kind, name, barrio) for name, barrio in islice(names.items(), wanted)]
    first, *others = found
    rng.shuffle(others)
    return [first, *others]


def _organization(
    town: _Town, n: int, age: int, kind: OrganizationType, name: str, barrio: str, status: str
) -> _Organization:
    rng = town.rng("organization", n)
    starts = (
        ["draft", "submitted"] if status in registry_service.UNREGISTERED else ["draft", "registered", "registered"]
    )
    start = {"draft": "draft", "rejected": "submitted"}.get(status) or rng.choice(starts)
    course = _path(rng, registry_service.TRANSITIONS, start, status)
    ages = [age]
    for before in course[:-1]:
        soon = before in registry_service.UNREGISTERED
        ages.append(ages[-1] - rng.randint(2, 4) if soon else rng.randint(1, ages[-1] - 1))
    territory, centre = town.place(barrio)
    spread = town.words["spread"]
    point = [round(degrees + rng.uniform(-spread, spread), 6) for degrees in centre] if centre else [None, None]
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
        "latitude": point[0],
        "longitude": point[1],
        "registration_status": course[0],
    }
    return _Organization(
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


def _load_organizations(path: Path) -> tuple[int, set[UUID]]:
    """How many were entered now, and which are registered."""
    town = _Town(path)
    plan = _organizations(town)
    with registry_db.tx() as session:
        added = session.get(Organization, SAMPLE_ORGANIZATION) is None
        if added:
            _play(step for n, one in enumerate(plan, 1) for step in _registration(session, town, n, one))
        registered = session.scalars(
            sa.select(Organization.id).where(
                Organization.id.in_([one.id for one in plan]), Organization.registration_status == "registered"
            )
        ).all()
    return len(plan) if added else 0, set(registered)


def _registration(session: Session, town: _Town, n: int, one: _Organization) -> Iterable[Step]:
    rng = town.rng("registration", n)
    registrar = str(sample_id("user", "registro"))

    def act(status: str, reason: str) -> None:
        organization = session.get_one(Organization, one.id)
        registry_service.set_status(session, organization, status, reason, registrar)

    instants = town.course(rng, one.ages)
    yield instants[0], partial(_enter, session, one, registrar)
    for instant, status in zip(instants[1:], one.course[1:], strict=True):
        yield instant, partial(act, status, rng.choice(town.said_of("status_reasons", status)))


def _enter(session: Session, one: _Organization, author: str) -> None:
    """As the use case `create`, under a key of the sample: by it others know its organizations."""
    values = dict(OrganizationIn(**one.body))
    number = registry_service.next_numbers(session, 1)[0]
    organization = Organization(id=one.id, number=number, registered_at=now())
    registry_service.apply(organization, registry_service.checked(values, values))
    session.add(organization)
    registry_service.flush(session)
    registry_service.record(session, organization, "created", author)
    registry_service.announce(session, [organization])


# Projects


@dataclass(frozen=True)
class _Project:
    """One to be presented. `course` are its stages, `ages` how many days ago it entered each."""

    organization: _Organization
    body: ProjectIn
    course: list[str]
    ages: list[int]


def _projects(town: _Town, registered: set[UUID]) -> list[_Project]:
    by_code = stages().by_code
    steps = {code: [step.to for step in stage.steps] for code, stage in by_code.items()}
    initial = [code for code, stage in by_code.items() if stage.initial]
    underway = [code for code, stage in by_code.items() if stage.steps]
    organizations = _registered(town, registered)
    plan: list[_Project] = []
    titles: set[tuple[UUID, str]] = set()
    for n in range(PROJECTS):
        rng = town.rng("project", n)
        goal = [*by_code][n % len(by_code)] if n < 3 * len(by_code) else rng.choice(underway)
        course = _stage_course(rng, steps, initial, goal)
        age = rng.randint(5, 40) + sum(rng.randint(12, 45) for _ in course[1:])
        ages = [age, *sorted(rng.sample(range(1, age, 5), len(course) - 1), reverse=True)]
        # Some are of the organization that a sample user represents.
        candidates = [one for one in organizations if one.ages[-1] > age]
        organization = organizations[0] if n % 16 == 12 else rng.choice(candidates)
        themes = rng.sample(town.words["projects"], len(town.words["projects"]))
        bodies = (_project_body(town, rng, organization, theme, course[0]) for theme in themes)
        body = next(body for body in bodies if (organization.id, body.title) not in titles)
        titles.add((organization.id, body.title))
        plan.append(_Project(organization, body, course, ages))
    return plan


def _stage_course(rng: Random, steps: Mapping[str, Collection[str]], initial: list[str], goal: str) -> list[str]:
    """From a stage in which projects are presented to `goal`, often with a detour that is not too long."""
    starts = [start for start in initial if _path(rng, steps, start, goal)]
    course = _path(rng, steps, rng.choice(starts), goal)
    detour = rng.choice(sorted(steps))
    there, on = _path(rng, steps, course[0], detour), _path(rng, steps, detour, goal)
    return [*there, *on[1:]] if there and on and len(there) + len(on) < 12 else course


def _project_body(
    town: _Town, rng: Random, organization: _Organization, theme: dict[str, str], stage: str
) -> ProjectIn:
    lowest, highest = town.words["cost"]
    latitude, longitude = organization.body["latitude"], organization.body["longitude"]
    return ProjectIn(
        organization_id=organization.id,
        title=theme["title"].format(barrio=organization.barrio),
        need=theme["need"],
        summary=theme["summary"],
        place=f"{organization.barrio}, {organization.body['territory']}",
        locality=organization.body["territory"],
        point=Point(latitude=latitude, longitude=longitude) if latitude is not None else None,
        estimated_cost=Decimal(rng.randint(lowest // 1000, highest // 1000) * 1000) if rng.random() < 0.9 else None,
        stage=stage,
    )


def _load_projects(path: Path, registered: set[UUID]) -> tuple[int, dict[tuple[UUID, str], UUID]]:
    """How many were presented now, and the key of each by its organization and title."""
    town = _Town(path)
    plan = _projects(town, registered)
    _wait_until_known(registered)
    representatives = {str(one.organization.representative) for one in plan}
    with projects_db.tx() as session:
        of_the_sample = sa.select(Project).where(Project.presented_by.in_(representatives))
        # That one may have presented others since.
        invented = Project.presented_by != str(sample_id("user", "representante"))
        added = session.scalar(of_the_sample.where(invented).limit(1)) is None
        if added:
            _play(step for n, one in enumerate(plan) for step in _project_steps(session, town, n, one))
        known = {(one.organization_id, one.title): one.id for one in session.scalars(of_the_sample)}
    return len(plan) if added else 0, known


def _wait_until_known(registered: set[UUID]) -> None:
    query = sa.select(sa.func.count()).where(
        KnownOrganization.id.in_(registered), KnownOrganization.status == "registered"
    )
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with projects_db.tx() as session:
            if session.scalar(query) == len(registered):
                return
        time.sleep(0.1)
    raise TimeoutError("the registry's events do not reach the projects service")


def _project_steps(session: Session, town: _Town, n: int, one: _Project) -> Iterable[Step]:
    rng = town.rng("stages", n)
    made: list[Project] = []

    def present() -> None:
        made.append(projects_service.present(session, one.body, _actor(town, Role.ORGANIZATION_REPRESENTATIVE, one)))

    def advance(to: str, role: Role, reason: str | None) -> None:
        projects_service.change_stage(session, made[0], to, _actor(town, role, one), reason)

    instants = town.course(rng, one.ages)
    yield instants[0], present
    for instant, before, to in zip(instants[1:], one.course, one.course[1:], strict=False):
        step = stages().by_code[before].step(to)
        assert step is not None  # the course follows the table
        reason = rng.choice(town.said_of("stage_reasons", to)) if step.reason else None
        yield instant, partial(advance, to, Role(rng.choice(step.roles)), reason)


def _actor(town: _Town, role: Role, project: _Project) -> Principal:
    if role == Role.ORGANIZATION_REPRESENTATIVE:
        organization = project.organization
        return Principal(
            str(organization.representative), frozenset({role}), organizations=frozenset({organization.id})
        )
    user = sample_id("user", _USERS.get(role, "administracion"))
    return Principal(str(user), frozenset({role}), offices=frozenset({town.pack.offices[0].code}))


# Requests


@dataclass
class _Request:
    """One on its way through the use cases."""

    session: Session
    filing: requests_service.Filing
    id: UUID | None = field(default=None, init=False)

    def file(self) -> None:
        self.id = requests_service.file(self.session, self.filing).id

    def move(self, office: str, author: str) -> None:
        requests_service.move_to_office(self.session, self._stored, office, author)

    def answer(self, text: str, author: str) -> None:
        requests_service.answer(self.session, self._stored, text, author)

    def notify(self, evidence: str, author: str | None) -> None:
        requests_service.record_notification(self.session, self._stored, now(), evidence, author)

    @cached_property
    def _stored(self) -> ServiceRequest:
        return self.session.get_one(ServiceRequest, self.id)


@dataclass(frozen=True)
class _Asked:
    """Who asks what, and how, without any date."""

    way: str
    subject: str
    reasons: str
    petitioner: Petitioner | None
    citizen: str | None
    organization_id: UUID | None
    project_id: UUID | None
    attachments: list[str]


def _load_requests(path: Path, registered: set[UUID], projects: dict[tuple[UUID, str], UUID]) -> int:
    """How many were filed now. `projects` are keys by organization and title."""
    town = _Town(path)
    desk = str(sample_id("user", "ventanilla"))
    with requests_db.tx() as session:
        query = sa.select(ServiceRequest.id).where(ServiceRequest.received_by == desk).limit(1)
        if session.scalar(query) is not None:
            return 0
        organizations = _registered(town, registered)
        # Older than any request.
        about = [one for one in _projects(town, registered) if one.ages[0] > _LONGEST_AGO]
        outcomes = _spread(town.rng("requests"), _OUTCOMES, REQUESTS)
        steps: list[Step] = []
        for n, (kind, outcome) in enumerate(zip(_request_types(town), outcomes, strict=True)):
            rng = town.rng("request", n)
            project = rng.choice(about) if about and rng.random() < 0.3 and kind.filed_by == "anyone" else None
            asked = _asked(town, rng, n, kind, project.organization if project else rng.choice(organizations))
            if project is not None:
                asked = replace(
                    asked,
                    subject=f"{asked.subject} ({project.body.title})",
                    organization_id=project.organization.id,
                    project_id=projects.get((project.organization.id, project.body.title)),
                )
            steps += _request_steps(session, town, rng, kind, outcome, asked, desk)
        _play(steps)
    return REQUESTS


_LONGEST_AGO = 180
"""Days ago of the oldest request."""


def _request_types(town: _Town) -> list[RequestType]:
    """Each some times, then the default one the most and those of authorities the least."""
    kinds = town.pack.request_types
    weights = [6 if kind.default else 3 if kind.filed_by == "anyone" else 1 for kind in kinds]
    others = town.rng("request types").choices(kinds, weights, k=REQUESTS)
    return [*(list(kinds) * 4), *others][:REQUESTS]


def _asked(town: _Town, rng: Random, n: int, kind: RequestType, organization: _Organization) -> _Asked:
    words = town.words
    way = rng.choices([*_WAYS], [*_WAYS.values()])[0]
    if kind.filed_by != "anyone":
        way = rng.choice(("letter", "mail"))
    subject, reasons = rng.choice(town.said_of("requests", kind.code))
    about = {
        "barrio": organization.barrio,
        "territory": organization.body["territory"],
        "municipality": town.pack.name,
        "organization": organization.body["name"],
    }
    citizen = rng.choice([*words["citizens"]]) if way == "account" else None
    chance, identified, called = rng.random(), rng.random() < 0.5, rng.random() < 0.4
    document = words["identity_document"].format(number=n)
    email = None
    if citizen:
        email = f"{citizen}@tejido.example"
    elif chance < {"web": 0.4, "mail": 1, "verbal": 0.2}.get(way, 0):
        email = f"persona.{n}@example.org"
    person: dict[str, Any] = {
        "name": words["citizens"][citizen] if citizen else town.person(rng),
        "identification": document if identified or way == "verbal" else None,
        "email": email,
        "phone": town.phone(rng) if called else None,
        "address": None if email else words["address"].format(number=rng.randrange(100)),
    }
    if kind.filed_by != "anyone":
        person |= {"name": rng.choice(words["authorities"]), "identification": None}
    petitioner = None if way == "anonymous" else (VerbalPetitioner if way == "verbal" else Petitioner)(**person)
    mentioned = "{organization}" in subject + reasons
    return _Asked(
        way=way,
        subject=subject.format(**about),
        reasons=reasons.format(**about),
        petitioner=petitioner,
        citizen=citizen,
        organization_id=organization.id if mentioned else None,
        project_id=None,
        attachments=rng.sample(words["attachments"], rng.choice((0, 0, 0, 1, 2))),
    )


def _request_steps(
    session: Session, town: _Town, rng: Random, kind: RequestType, outcome: str, asked: _Asked, desk: str
) -> Iterable[Step]:
    """What happens to a request, until now, for this outcome. However dates fall, as much is drawn from `rng`."""
    draws = [Random(rng.random()) for _ in range(6)]
    day = town.today - timedelta(days=_age(town, draws[0], kind.code, outcome, at_any_hour=asked.way in _AT_ANY_HOUR))
    hour = draws[0].uniform(6, 23) if asked.way in _AT_ANY_HOUR else draws[0].uniform(8, 16)
    received = min(town.at(day, hour), town.now - timedelta(minutes=draws[0].uniform(20, 60)))
    typed = _typed(kind.code, day)
    clock = requests_service.deadline_of(kind.code, received, typed)[0]
    recorded = received
    if asked.way in _ENTERED_LATER:
        days = town.open_days(day, town.today)[:2]
        recorded = town.at(draws[1].choice(days), draws[1].uniform(8, 16)) if days else received
        recorded = max(received, min(recorded, town.now - timedelta(minutes=15)))
    official = asked.way in _ENTERED_LATER or asked.way == "verbal" or kind.filed_by != "anyone"
    channel = {"account": "web", "anonymous": "web", "verbal": draws[1].choice(("counter", "phone"))}
    request = _Request(
        session,
        requests_service.Filing(
            subject=asked.subject,
            reasons=asked.reasons,
            petitioner=asked.petitioner,
            attachments=asked.attachments,
            request_type=kind.code,
            organization_id=asked.organization_id,
            project_id=asked.project_id,
            language="es",
            channel=channel.get(asked.way, asked.way),
            verbal=asked.way == "verbal",
            received_at=received if recorded > received else None,
            due_date=typed,
            filed_by=str(sample_id("user", asked.citizen)) if asked.citizen else None,
            received_by=desk if official else None,
        ),
    )
    yield recorded, request.file
    office = town.pack.office_for(kind.code).code
    if kind.default_office is None and draws[2].random() < 0.7:
        # From the office that receives everything to the one that knows.
        first, office = office, draws[2].choice([one.code for one in town.pack.offices])
        moved = min(recorded + timedelta(hours=draws[2].uniform(0.5, 3)), town.now - timedelta(minutes=10))
        yield moved, partial(request.move, office, _officer(town, first))
    if clock.overdue_at < town.now:
        alarm = clock.overdue_at + timedelta(seconds=3)
        yield alarm, lambda: requests_service.announce_overdue(session, now())
    by_mail = asked.petitioner is not None and asked.petitioner.email is not None
    answered = _answered_at(town, draws[3], outcome, recorded, clock, by_mail=by_mail)
    if answered is None:
        return
    yield answered, partial(request.answer, draws[4].choice(town.said_of("answers", kind.code)), _officer(town, office))
    notified = _notified_at(town, draws[5], outcome, answered, clock, by_mail=by_mail)
    if notified is None:
        return
    proof = draws[4].choice(town.words["proofs"]).format(number=draws[4].randrange(1000))
    if by_mail:
        proof = town.words["by_mail"]
    elif asked.petitioner is None:
        proof = town.words["published"]
    yield notified, partial(request.notify, proof, None if by_mail else _officer(town, office))


def _officer(town: _Town, office: str) -> str:
    users = dict(zip((one.code for one in town.pack.offices), ("funcionaria", "funcionario"), strict=False))
    return str(sample_id("user", users.get(office, f"funcionario-{office}")))


def _typed(code: str, received_on: date) -> date | None:
    """The due date that an authority sets, for types where it does."""
    by_hand = requests_settings.jurisdiction().request_type(code).due_date == "typed"
    return received_on + timedelta(days=12) if by_hand else None


@cache
def _deadlines(code: str, today: date) -> list[tuple[int, Deadline]]:
    """By days ago of the receipt, where the law of that day had a term."""
    zone, found = requests_settings.jurisdiction().zone, []
    for age in range(_LONGEST_AGO):
        day = today - timedelta(days=age)
        noon = datetime.combine(day, time_of_day(12), zone)
        with suppress(LookupError):
            found.append((age, requests_service.deadline_of(code, noon, _typed(code, day))[0]))
    return found


def _age(town: _Town, rng: Random, code: str, outcome: str, *, at_any_hour: bool) -> int:
    """How many days ago a request was received for which this outcome is true today."""

    def fits(age: int, clock: Deadline) -> bool:
        late = (town.today - clock.due_date).days
        soon_from = clock.due_soon_from or clock.due_date - timedelta(days=4)
        if outcome == "fresh":
            return age <= 2
        if outcome == "answered":
            return age >= 4 and late <= 0
        if outcome in ("open", "due_soon"):
            return age >= 3 and late <= 0 and (soon_from <= town.today) == (outcome == "due_soon")
        earliest, latest = {"overdue": (1, 25), "on_time": (1, 110), "late": (16, 110)}[outcome]
        return earliest <= late <= latest

    ages = [age for age, clock in _deadlines(code, town.today) if fits(age, clock)]
    at_work = [age for age in ages if at_any_hour or town.is_open(town.today - timedelta(days=age))]
    # A term of few days has none that is open and not due soon.
    return rng.choice(at_work or ages or [0, 1, 2])


def _answered_at(
    town: _Town, rng: Random, outcome: str, recorded: datetime, clock: Deadline, *, by_mail: bool
) -> datetime | None:
    day, hour, minutes = recorded.astimezone(town.pack.zone).date(), rng.uniform(8, 16), rng.uniform(1, 9)
    if outcome == "answered" and by_mail:
        return town.now - timedelta(minutes=minutes)  # the mail goes out now, and its delivery will be the proof
    if outcome == "answered":
        days, latest = town.open_days(day, town.today - timedelta(days=1)), town.now - timedelta(hours=1)
    elif outcome == "on_time":
        days, latest = town.open_days(day, clock.due_date), clock.overdue_at - timedelta(hours=3)
    elif outcome == "late":
        days, latest = town.open_days(clock.due_date, town.today - timedelta(days=6))[:12], town.now
    else:
        return None
    return max(recorded, min(town.at(rng.choice(days), hour), latest) if days else latest)


def _notified_at(
    town: _Town, rng: Random, outcome: str, answered: datetime, clock: Deadline, *, by_mail: bool
) -> datetime | None:
    """When the answer arrived: by mail at once, else within some days. None while the proof is awaited."""
    awaited, minutes, hour = rng.random() < 0.15, rng.uniform(1, 4), rng.uniform(8, 16)
    if outcome == "answered" or (outcome == "late" and awaited and not by_mail):
        return None
    if by_mail:
        return answered + timedelta(minutes=minutes)
    last = clock.due_date if outcome == "on_time" else town.today - timedelta(days=1)
    days = town.open_days(answered.astimezone(town.pack.zone).date(), last)[:4]
    return town.at(rng.choice(days), hour) if days else answered + timedelta(hours=1)
