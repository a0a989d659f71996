"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from tejido_projects import queries, schemas, service
from tejido_projects.db import tx
from tejido_projects.models import KnownOrganization, Project
from tejido_projects.settings import stages
from tejido_projects.stages import PACKAGE
from tejido_shared import i18n
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1")

Presenter = Annotated[Principal, Depends(require(Role.ORGANIZATION_REPRESENTATIVE, *service.ON_BEHALF))]
StepTaker = Annotated[
    Principal, Depends(require(Role.ORGANIZATION_REPRESENTATIVE, *service.ON_BEHALF, Role.SUPERVISOR))
]


@router.get("/stages", tags=["stages"], summary="The stages of a project and who takes which step")
def list_stages(_: Anybody) -> list[schemas.StageOut]:
    return [
        schemas.StageOut(
            code=stage.code,
            name=service.stage_name(stage.code),
            initial=stage.initial,
            editable=stage.editable,
            next_step=i18n.text(PACKAGE, f"next_step.{stage.code}"),
            next_step_days=stage.next_step_days,
            steps=[
                schemas.StepOut(
                    to=step.to,
                    to_name=service.stage_name(step.to),
                    roles=list(step.roles),
                    reason_required=step.reason,
                    standing=step.standing,
                )
                for step in stage.steps
            ],
        )
        for stage in stages().stages
    ]


@router.post("/projects", status_code=201, tags=["projects"], summary="Present a project")
def present_project(body: schemas.ProjectIn, once: IdempotencyKey, caller: Presenter) -> schemas.ProjectOut:
    """By a representative of the organization, or by an official on its behalf. 409 if it may not apply today, with the reasons."""
    with tx() as session:

        def act() -> schemas.ProjectOut:
            project = service.present(session, body, caller)
            return _whole(session, project, caller)

        return once.run(session, schemas.ProjectOut, act)


@router.get("/projects", tags=["projects"], summary="The inventory of all projects presented")
def list_projects(asked: Annotated[schemas.ProjectQuery, Query()], _: Anybody) -> Page[schemas.ProjectSummary]:
    with tx() as session:
        family = queries.family(session, asked.organization_id) if asked.organization_id is not None else None
        page = page_of(
            session,
            queries.matching(asked, family),
            asked,
            _itself,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Project.id,
        )
        lives_on = queries.survivors(session, (project.organization for project in page.items))
        items = [_summary(project, lives_on[project.organization_id]) for project in page.items]
        return Page(items=items, next=page.next, previous=page.previous)


@router.get("/projects/{project_id}", tags=["projects"], summary="One project with its history")
def read_project(project_id: UUID, caller: Anybody, response: Response) -> schemas.ProjectOut:
    with tx() as session:
        project = _found(queries.one(session, project_id))
        response.headers["ETag"] = etag(project)
        return _whole(session, project, caller)


@router.patch("/projects/{project_id}", tags=["projects"], summary="Correct a project, or set its next step")
def change_project(
    project_id: UUID, body: schemas.ProjectPatch, caller: Presenter, response: Response, if_match: IfMatch = None
) -> schemas.ProjectOut:
    """By its organization while the stage is editable; by the municipality always."""
    with tx() as session:
        project = _found(queries.one(session, project_id, lock=True))
        check_match(if_match, project)
        service.edit(session, project, body, caller)
        response.headers["ETag"] = etag(project)
        return _whole(session, project, caller)


@router.post("/projects/{project_id}/stage", tags=["projects"], summary="Move a project to another stage")
def change_stage(
    project_id: UUID, body: schemas.StageChangeIn, once: IdempotencyKey, caller: StepTaker
) -> schemas.ProjectOut:
    """Which steps there are, whose they are and which demand a reason is in /v1/stages."""
    with tx() as session:

        def act() -> schemas.ProjectOut:
            project = _found(queries.one(session, project_id, lock=True))
            if body.seen is not None and body.seen != project.stage:
                raise Refused("stage_moved", stage=service.stage_name(project.stage))
            service.change_stage(session, project, body.to, caller, body.reason)
            return _whole(session, project, caller)

        return once.run(session, schemas.ProjectOut, act)


def _found(project: Project | None) -> Project:
    if project is None:
        raise NotFound
    return project


def _itself(project: Project) -> Project:
    return project


def _summary(project: Project, organization: KnownOrganization) -> schemas.ProjectSummary:
    return schemas.ProjectSummary(**_summary_fields(project, organization))


def _summary_fields(project: Project, organization: KnownOrganization) -> dict[str, Any]:
    said = {"point", "organization_id", "organization_name", "stage_name", "days_in_stage", "next_step"}
    point = None
    if project.longitude is not None and project.latitude is not None:
        point = schemas.Point(longitude=project.longitude, latitude=project.latitude)
    return {name: getattr(project, name) for name in schemas.ProjectSummary.model_fields.keys() - said} | {
        "point": point,
        "organization_id": organization.id,
        "organization_name": organization.name,
        "stage_name": service.stage_name(project.stage),
        "days_in_stage": service.days_in_stage(project),
        "next_step": service.next_step_in_words(project),
    }


def _whole(session: Session, project: Project, caller: Principal | None) -> schemas.ProjectOut:
    named = caller is not None and caller.has(*service.ON_BEHALF, Role.SUPERVISOR, Role.AUDITOR)
    organization = queries.survivors(session, [project.organization])[project.organization_id]
    return schemas.ProjectOut(
        **_summary_fields(project, organization),
        need=project.need,
        summary=project.summary,
        history=[
            schemas.StageEntryOut(
                from_stage=entry.from_stage,
                to_stage=entry.to_stage,
                stage_name=service.stage_name(entry.to_stage),
                at=entry.at,
                reason=entry.reason,
                author=entry.author if named else None,
            )
            for entry in queries.history_of(session, project.id)
        ],
    )
