"""The use cases. Each takes a session and never commits; none knows of HTTP or Celery."""

from collections.abc import Iterable, Set
from datetime import date, datetime, timedelta
from uuid import UUID

from babel.numbers import get_territory_currencies
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_projects import queries
from tejido_projects.models import KnownOrganization, NumberCounter, Project, StageEntry
from tejido_projects.schemas import ProjectIn, ProjectPatch
from tejido_projects.settings import jurisdiction, stages
from tejido_projects.stages import PACKAGE, Stage
from tejido_shared import contracts, i18n
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.jurisdiction import Role, receipt_number
from tejido_shared.outbox import emit
from tejido_shared.refusals import NotForThem, Refused
from tejido_shared.standing import in_words

APPLY = "apply"
"""What an organization must be allowed to do to present a project."""
NUMBER_PATTERN = "PRY-{year}-{sequence:05d}-{check}"
ON_BEHALF = (Role.OFFICER, Role.HEAD, Role.PROJECT_EVALUATOR)
"""Who presents and corrects projects of any organization."""


def present(session: Session, body: ProjectIn, actor: Principal) -> Project:
    """An organization presents a project: it is numbered, recorded and announced.

    Of an organization that was merged it is the one it lives on in. Raises `NotForThem` for somebody who neither represents it nor works
    for the municipality, and `Refused` for an organization that is not known or may not apply, or a stage in which nothing is presented.
    """
    if not _acts_for(actor, queries.family(session, body.organization_id)):
        raise NotForThem("not_their_organization")
    named = session.get(KnownOrganization, body.organization_id)
    if named is None:
        raise Refused("organization_unknown", "organization_id")
    organization = queries.survivors(session, [named])[named.id]
    if APPLY not in (organization.standing or ()) and organization.status != "registered":
        raise Refused("organization_not_registered", "organization_id")
    _refuse_without_standing(organization, APPLY)
    stage = stages().by_code.get(body.stage or stages().default)
    if stage is None or not stage.initial:
        raise Refused("stage_not_initial", "stage", stages=_in_words(s for s in stages().stages if s.initial))
    instant = now()
    project = Project(
        id=new_id(),
        version=1,
        **body.model_dump(include={"title", "need", "summary", "place", "locality", "estimated_cost"}),
        longitude=body.point.longitude if body.point else None,
        latitude=body.point.latitude if body.point else None,
        currency=get_territory_currencies(jurisdiction().country)[0],
        organization=organization,
        presented_by=actor.subject,
        presented_at=instant,
    )
    entry = _enter(project, stage, instant, actor, None)
    # The number comes last: whoever holds the counter makes every other presenting wait until the commit.
    project.number = _next_number(session, instant)
    session.add(project)
    session.flush()
    session.add(entry)
    presented = contracts.ProjectPresented(
        project_id=project.id,
        number=project.number,
        title=project.title,
        organization_id=organization.id,
        stage=project.stage,
    )
    emit(session, presented, version=project.version)
    session.flush()
    return project


def edit(session: Session, project: Project, body: ProjectPatch, actor: Principal) -> None:
    """Changes what `body` names. The organization may while the stage is editable; next step and its date are the municipality's."""
    family = queries.family(session, project.organization_id)
    if not _acts_for(actor, family):
        raise NotForThem("not_their_organization")
    changes = body.model_dump(exclude_unset=True)
    if not _may_take(actor, family, ON_BEHALF):
        if not stages().by_code[project.stage].editable:
            raise Refused("not_editable", stage=stage_name(project.stage))
        for name in ("next_step", "next_step_on"):
            if name in changes:
                raise Refused("only_the_municipality", f"body.{name}")
    if "point" in changes:
        point = changes.pop("point") or {"longitude": None, "latitude": None}
        changes |= point
    if "next_step_on" in changes and changes["next_step_on"] is None:
        changes["next_step_on"] = _next_step_on(stages().by_code[project.stage], project.stage_since)
    for name, value in changes.items():
        setattr(project, name, value)
    session.flush()


def change_stage(session: Session, project: Project, to: str, actor: Principal, reason: str | None) -> None:
    """Moves a project one step along the table of stages, records it and announces it.

    The project must be locked. Raises `Refused` for a step the table does not hold, naming those it does, or one that lacks its
    reason or for which the organization has no standing, and `NotForThem` for a step that is not the actor's.
    """
    if to not in stages().by_code:
        raise Refused("unknown_stage", "to")
    stage = stages().by_code[project.stage]
    step = stage.step(to)
    if step is None:
        allowed = _in_words(stages().by_code[s.to] for s in stage.steps) or "—"
        raise Refused("step_not_allowed", stage=stage_name(stage.code), to=stage_name(to), allowed=allowed)
    if not _may_take(actor, queries.family(session, project.organization_id), step.roles):
        raise NotForThem("step_not_theirs", roles=", ".join(step.roles))
    if step.reason and not reason:
        raise Refused("reason_needed", "reason")
    if step.standing is not None:
        survivors = queries.survivors(session, [project.organization])
        _refuse_without_standing(survivors[project.organization_id], step.standing)
    session.add(_enter(project, stages().by_code[to], now(), actor, reason))
    session.flush()
    changed = contracts.ProjectStageChanged(
        project_id=project.id,
        number=project.number,
        title=project.title,
        from_stage=stage.code,
        to_stage=to,
    )
    emit(session, changed, version=project.version)


def stage_name(code: str) -> str:
    return i18n.text(PACKAGE, f"stage.{code}")


def next_step_in_words(project: Project) -> str:
    return project.next_step or i18n.text(PACKAGE, f"next_step.{project.stage}")


def days_in_stage(project: Project) -> int:
    """Calendar days since the day it entered its stage."""
    zone = jurisdiction().zone
    return (now().astimezone(zone).date() - project.stage_since.astimezone(zone).date()).days


def _enter(project: Project, stage: Stage, instant: datetime, actor: Principal, reason: str | None) -> StageEntry:
    entry = StageEntry(
        project_id=project.id,
        from_stage=project.stage,
        to_stage=stage.code,
        at=instant,
        author=actor.subject,
        reason=reason,
    )
    project.stage, project.stage_since = stage.code, instant
    # A step that was planned for the stage before is past.
    project.next_step, project.next_step_on = None, _next_step_on(stage, instant)
    return entry


def _next_step_on(stage: Stage, since: datetime) -> date | None:
    if stage.next_step_days is None:
        return None
    return since.astimezone(jurisdiction().zone).date() + timedelta(days=stage.next_step_days)


def _refuse_without_standing(organization: KnownOrganization, purpose: str) -> None:
    """Raises `Refused` with the reasons if the organization may not do this today. Of one whose standing nobody told, nothing is asked."""
    if organization.standing is None:
        return
    reasons = list(organization.standing.get(purpose, ()))
    try:
        rule = jurisdiction().purpose(purpose)
    except LookupError:
        return  # the municipality has no such rule
    until = organization.mandate_until
    today = now().astimezone(jurisdiction().zone).date()
    # The date decides, even while the event that tells of it is on its way.
    if rule.mandate and "expired" not in rule.mandate and until is not None and until < today:
        reasons += [] if any(code.startswith("mandate_") for code in reasons) else ["mandate_expired"]
    if reasons:
        words = "; ".join(in_words(code, jurisdiction()) for code in reasons)
        raise Refused("standing", organization=organization.name, purpose=rule.name, reasons=words)


def _acts_for(actor: Principal, family: Set[UUID]) -> bool:
    return bool(actor.organizations & family) or actor.has(*ON_BEHALF)


def _may_take(actor: Principal, family: Set[UUID], roles: Iterable[str]) -> bool:
    """Whether a step of these roles is the actor's. Nobody appraises or supervises what their own organization presented.

    `family` are the organizations that live on in the project's.
    """
    if Role.ADMINISTRATOR in actor.roles:
        return True
    if actor.organizations & family:
        return Role.ORGANIZATION_REPRESENTATIVE in roles
    return bool((actor.roles - {Role.ORGANIZATION_REPRESENTATIVE}) & {*roles})


def _in_words(some: Iterable[Stage]) -> str:
    return ", ".join(f"{stage_name(stage.code)} ({stage.code})" for stage in some)


def _next_number(session: Session, instant: datetime) -> str:
    year = instant.astimezone(jurisdiction().zone).year
    counter = insert(NumberCounter).values(year=year, last=1)
    sequence = session.scalar(
        counter.on_conflict_do_update(index_elements=["year"], set_={"last": NumberCounter.last + 1}).returning(
            NumberCounter.last
        )
    )
    return receipt_number(NUMBER_PATTERN, year, int(sequence or 0))
