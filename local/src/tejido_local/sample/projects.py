"""Projects of organizations and their way through the stages."""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_local.sample.registry import PlannedOrganization, still_registered
from tejido_local.sample.town import Step, Town, play, sample_id, shortest_path
from tejido_projects import db as projects_db
from tejido_projects import service as projects_service
from tejido_projects.models import KnownOrganization, Project
from tejido_projects.schemas import Point, ProjectIn
from tejido_projects.settings import stages
from tejido_shared.auth import Principal
from tejido_shared.jurisdiction import Role

PROJECTS = 120
PATIENCE = 120.0
"""Seconds that the registry's events may take to reach the projects service."""
_USERS = {
    Role.OFFICER: "funcionaria",
    Role.HEAD: "jefatura",
    Role.PROJECT_EVALUATOR: "evaluacion",
    Role.SUPERVISOR: "supervision",
}


@dataclass(frozen=True)
class PlannedProject:
    """One to be presented. `course` are its stages, `ages` how many days ago it entered each."""

    organization: PlannedOrganization
    body: ProjectIn
    course: list[str]
    ages: list[int]


def planned_projects(town: Town, registered: set[UUID]) -> list[PlannedProject]:
    by_code = stages().by_code
    steps = {code: [step.to for step in stage.steps] for code, stage in by_code.items()}
    initial = [code for code, stage in by_code.items() if stage.initial]
    underway = [code for code, stage in by_code.items() if stage.steps]
    organizations = [one for one in still_registered(town, registered) if one.able]
    plan: list[PlannedProject] = []
    titles: set[tuple[UUID, str]] = set()
    for n in range(PROJECTS):
        rng = town.rng("project", n)
        goal = [*by_code][n % len(by_code)] if n < 3 * len(by_code) else rng.choice(underway)
        course = _stage_course(rng, steps, initial, goal)
        age = rng.randint(5, 40) + sum(rng.randint(12, 45) for _ in course[1:])
        ages = [age, *sorted(rng.sample(range(1, age, 5), len(course) - 1), reverse=True)]
        # Some are of the organization that a sample user represents.
        candidates = [one for one in organizations if one.entered > age]
        organization = organizations[0] if n % 16 == 12 else rng.choice(candidates)
        themes = rng.sample(town.words["projects"], len(town.words["projects"]))
        bodies = (_project_body(town, rng, organization, theme, course[0]) for theme in themes)
        body = next(body for body in bodies if (organization.id, body.title) not in titles)
        titles.add((organization.id, body.title))
        plan.append(PlannedProject(organization, body, course, ages))
    return plan


def _stage_course(rng: Random, steps: Mapping[str, Collection[str]], initial: list[str], goal: str) -> list[str]:
    """From a stage in which projects are presented to `goal`, often with a detour that is not too long."""
    starts = [start for start in initial if shortest_path(rng, steps, start, goal)]
    course = shortest_path(rng, steps, rng.choice(starts), goal)
    detour = rng.choice(sorted(steps))
    there, on = shortest_path(rng, steps, course[0], detour), shortest_path(rng, steps, detour, goal)
    return [*there, *on[1:]] if there and on and len(there) + len(on) < 12 else course


def _project_body(
    town: Town, rng: Random, organization: PlannedOrganization, theme: dict[str, str], stage: str
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


def load(path: Path, registered: set[UUID]) -> tuple[int, dict[tuple[UUID, str], UUID]]:
    """How many were presented now, and the key of each by its organization and title."""
    town = Town(path)
    plan = planned_projects(town, registered)
    _wait_until_known({one.id for one in still_registered(town, registered) if one.able})
    representatives = {str(one.organization.representative) for one in plan}
    with projects_db.tx() as session:
        of_the_sample = sa.select(Project).where(Project.presented_by.in_(representatives))
        # That one may have presented others since.
        invented = Project.presented_by != str(sample_id("user", "representante"))
        added = session.scalar(of_the_sample.where(invented).limit(1)) is None
        if added:
            play(step for n, one in enumerate(plan) for step in _project_steps(session, town, n, one))
        known = {(one.organization_id, one.title): one.id for one in session.scalars(of_the_sample)}
    return len(plan) if added else 0, known


def _wait_until_known(able: set[UUID]) -> None:
    """What an organization may do is told with each of its events: the last one has to be here."""
    standing = KnownOrganization.standing
    may = [standing[purpose].astext == "[]" for purpose in ("apply", "sign")]
    query = sa.select(sa.func.count()).where(KnownOrganization.id.in_(able), *may)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with projects_db.tx() as session:
            if session.scalar(query) == len(able):
                return
        time.sleep(0.1)
    raise TimeoutError("the registry's events do not reach the projects service")


def _project_steps(session: Session, town: Town, n: int, one: PlannedProject) -> Iterable[Step]:
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


def _actor(town: Town, role: Role, project: PlannedProject) -> Principal:
    if role == Role.ORGANIZATION_REPRESENTATIVE:
        organization = project.organization
        return Principal(
            str(organization.representative), frozenset({role}), organizations=frozenset({organization.id})
        )
    user = sample_id("user", _USERS.get(role, "administracion"))
    return Principal(str(user), frozenset({role}), offices=frozenset({town.pack.offices[0].code}))
