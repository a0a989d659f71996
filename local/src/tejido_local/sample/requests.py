"""Requests: filed, given to somebody, worked on, answered."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_local.sample import dates, desk
from tejido_local.sample.asking import AT_ANY_HOUR, ENTERED_LATER, Asked, asked
from tejido_local.sample.projects import planned_projects
from tejido_local.sample.registry import still_registered
from tejido_local.sample.town import Step, Town, play, sample_id, spread
from tejido_requests import db as requests_db
from tejido_requests.clocks import service as clocks
from tejido_requests.intake.service import Filing
from tejido_requests.models import ServiceRequest
from tejido_shared.clock import now
from tejido_shared.jurisdiction import RequestType

_OUTCOMES = {"fresh": 26, "open": 30, "due_soon": 30, "overdue": 32, "answered": 30, "on_time": 94, "late": 34}
"""How many requests stand so today. `answered`: the proof that the answer arrived is pending; the last two are notified."""
_STORIES = {name: story.times for name, story in desk.STORIES.items()}
REQUESTS = sum(_OUTCOMES.values()) + sum(story.times * (1 + story.more) for story in desk.STORIES.values())
"""All that there are in the end: some come of others."""


def load(path: Path, registered: set[UUID], presented: dict[tuple[UUID, str], UUID]) -> int:
    """How many were filed now. `presented` are keys of projects by organization and title."""
    town = Town(path)
    with requests_db.tx() as session:
        query = sa.select(ServiceRequest.id).where(ServiceRequest.received_by == desk.COUNTER).limit(1)
        if session.scalar(query) is not None:
            return 0
        organizations = still_registered(town, registered)
        # Older than any request.
        about = [one for one in planned_projects(town, registered) if one.ages[0] > dates.LONGEST_AGO]
        plan = _OUTCOMES | _STORIES
        outcomes = spread(town.rng("requests"), plan, sum(plan.values()))
        steps = [*_alarms(session, town), *desk.prepare(session, town)]
        for n, (drawn, wanted) in enumerate(zip(_request_types(town, len(outcomes)), outcomes, strict=True)):
            rng = town.rng("request", n)
            kind, outcome = _possible(town, rng, drawn, wanted)
            project = rng.choice(about) if about and rng.random() < 0.3 and kind.filed_by == "anyone" else None
            what = asked(town, rng, n, kind, project.organization if project else rng.choice(organizations))
            if project is not None:
                what = replace(
                    what,
                    subject=f"{what.subject} ({project.body.title})",
                    organization_id=project.organization.id,
                    project_id=presented.get((project.organization.id, project.body.title)),
                )
            steps += _request_steps(session, town, rng, kind, outcome, what)
        play(steps)
    return REQUESTS


def _possible(town: Town, rng: Random, kind: RequestType, outcome: str) -> tuple[RequestType, str]:
    """Another type where the story cannot happen to this one; no story where it happens to none."""
    if outcome not in desk.STORIES:
        return kind, outcome
    fitting = desk.fitting(town, desk.STORIES[outcome])
    if not fitting:
        return kind, "open"
    return kind if kind in fitting else rng.choice(fitting), outcome


def _alarms(session: Session, town: Town) -> Iterable[Step]:
    """What has come due is announced when the offices open, and now."""

    def announce() -> None:
        if clocks.announce(session, now()):
            session.expire_all()  # it writes rows past the session

    opens = town.pack.procedure.office_hours.opens
    for age in range(dates.LONGEST_AGO + 10):
        instant = town.at(town.today - timedelta(days=age), opens.hour + opens.minute / 60) + timedelta(seconds=3)
        yield min(instant, town.now), announce


def _request_types(town: Town, count: int) -> list[RequestType]:
    """Each some times, then the default one the most and those of authorities the least."""
    kinds = town.pack.request_types
    weights = [6 if kind.default else 3 if kind.filed_by == "anyone" else 1 for kind in kinds]
    others = town.rng("request types").choices(kinds, weights, k=count)
    return [*(list(kinds) * 4), *others][:count]


def _request_steps(
    session: Session, town: Town, rng: Random, kind: RequestType, outcome: str, what: Asked
) -> Iterable[Step]:
    """What happens to a request, until now, for this outcome. However dates fall, as much is drawn from `rng`."""
    draws = [Random(rng.random()) for _ in range(7)]
    story = desk.STORIES.get(outcome)
    if story is not None and story.second_matter:
        what = replace(what, subject=f"{what.subject} {what.other[0]}")
    received, asked_on = _received_at(town, draws[0], kind, outcome, what)
    due = dates.due(kind.code, received)
    recorded = received
    if what.way in ENTERED_LATER and story is None:
        days = town.open_days(received.date(), town.today)[:2]
        recorded = town.at(draws[1].choice(days), draws[1].uniform(8, 16)) if days else received
        recorded = max(received, min(recorded, town.now - timedelta(minutes=15)))
    official = what.way in ENTERED_LATER or what.way == "verbal" or kind.filed_by != "anyone"
    office = town.pack.route(kind.code, what.subject, what.place.area if what.place else None).code
    moves_to = draws[2].choice([one.code for one in town.pack.offices])
    moves = kind.default_office is None and office == town.pack.default_office.code and draws[2].random() < 0.7
    # From the office that receives everything to the one that knows.
    first, office = office, moves_to if moves else office
    case = desk.Case(
        session,
        town,
        Filing(
            subject=what.subject,
            reasons=what.reasons,
            petitioner=what.petitioner,
            attachments=what.attachments,
            request_type=kind.code,
            organization_id=what.organization_id,
            project_id=what.project_id,
            language="es",
            channel=what.channel,
            verbal=what.way == "verbal",
            received_at=received if recorded > received else None,
            due_date=dates.typed(kind.code, received.date()),
            filed_by=str(sample_id("user", what.citizen)) if what.citizen else None,
            received_by=desk.COUNTER if official else None,
            confidential=what.confidential,
            minor=what.minor,
            priority=what.priority_reason is not None,
            priority_reason=what.priority_reason,
            addressees=what.addressees,
            place=what.place,
            answers=what.answers,
        ),
        kind,
        office,
        other=what.other,
        officer=town.officer(office, draws[2].choice((1, 1, 2))),
    )
    yield recorded, case.file
    arrived = recorded
    if first != office:
        arrived = min(recorded + timedelta(hours=draws[2].uniform(0.5, 3)), town.now - timedelta(minutes=10))
        yield arrived, partial(case.move, town.officer(first))
    arrived += timedelta(minutes=draws[6].uniform(1, 9))
    yield from desk.taken_up(case, draws[6], arrived)
    if story is None:
        yield from _answered(case, draws[3:6], outcome, recorded, due)
    else:
        yield from story.happens(case, draws[5], arrived, asked_on)


def _received_at(
    town: Town, rng: Random, kind: RequestType, outcome: str, what: Asked
) -> tuple[datetime, datetime | None]:
    """When a request is received, and when its citizen is asked to complete it if that is what today's state depends on."""
    any_hour = what.way in AT_ANY_HOUR
    story = desk.STORIES.get(outcome)
    hour = rng.uniform(6, 23) if any_hour else rng.uniform(8, 16)
    before, at = rng.randint(1, 3), rng.uniform(9, 16)
    if story is not None and story.days_left is not None:
        age = dates.asked_age(town, rng, kind.code, story.days_left)
        if age is not None:
            day = asked_on = town.today - timedelta(days=age)
            while before:
                day -= timedelta(days=1)
                before -= town.is_open(day)
            return town.at(day, hour), town.at(asked_on, at)
    stands = story.outcome if story is not None else outcome
    day = town.today - timedelta(days=dates.age(town, rng, kind.code, stands, at_any_hour=any_hour))
    return min(town.at(day, hour), town.now - timedelta(minutes=rng.uniform(20, 60))), None


def _answered(
    case: "desk.Case", draws: list[Random], outcome: str, recorded: datetime, due: dates.Due
) -> Iterable[Step]:
    town = case.town
    by_mail = case.by_mail
    answered = dates.answered_at(town, draws[0], outcome, recorded, due, by_mail=by_mail)
    if answered is None:
        return
    text = draws[1].choice(town.said_of("answers", case.kind.code))
    yield answered, partial(case.answer, text)
    notified = dates.notified_at(town, draws[2], outcome, answered, due, by_mail=by_mail)
    if notified is None:
        return
    yield notified, partial(case.notify, desk.proof_of_arrival(case, draws[1]))
    if draws[1].random() < 0.4:
        yield town.soon(draws[2], notified, 4), partial(case.rate, *draws[1].choice(town.words["ratings"]))
