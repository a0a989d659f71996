"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query, Response

from tejido_notifications.db import read, tx
from tejido_notifications.letters import queries, schemas, service, views
from tejido_notifications.letters.service import Text
from tejido_notifications.models import TemplateVersion
from tejido_shared.api import IfMatch
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound, Problem

log = structlog.get_logger()
router = APIRouter(prefix="/v1", tags=["templates"])

Reader = Annotated[Principal, Depends(require(Role.SUPERVISOR, Role.HEAD))]
Administrator = Annotated[Principal, Depends(require(Role.ADMINISTRATOR))]


def _text(
    name: Annotated[str, Path(max_length=100, description="The message, e.g. requests_submitted")],
    form: Annotated[schemas.Form, Path(description="`mail`: whole letters; `short`: SMS and the like")],
    language: Annotated[schemas.Language, Path()],
) -> Text:
    if name not in views.names():
        raise NotFound
    return Text(name, form, language)


TextInPath = Annotated[Text, Depends(_text)]
PATH = "/templates/{name}/{form}/{language}"


@router.get("/templates", summary="Every text of a message, and where it comes from")
def list_templates(_: Reader) -> Page[schemas.TemplateSummary]:
    """All on one page."""
    with read() as session:
        return Page(items=views.summaries(session))


@router.get(PATH, summary="A text, and what it may name")
def read_template(_: Reader, text: TextInPath, response: Response) -> schemas.TemplateOut:
    with read() as session:
        whole = views.whole(session, text)
    response.headers["ETag"] = f'"{whole.number}"'
    return whole


@router.post(PATH + "/versions", summary="Save a new version of a text", status_code=201)
def save_template(
    caller: Administrator,
    text: TextInPath,
    body: schemas.TemplateIn,
    once: IdempotencyKey,
    response: Response,
    if_match: IfMatch = None,
) -> schemas.TemplateOut:
    """It is checked with fictional events, and sent from a few seconds later on. Without a source, the pack's text or ours counts again."""
    with tx() as session:

        def act() -> schemas.TemplateOut:
            service.hold(session, text)
            _check_match(if_match, views.whole(session, text).number)
            service.save(session, text, body.source, body.remark, caller.subject)
            return views.whole(session, text)

        whole = once.run(session, schemas.TemplateOut, act)
    response.headers["ETag"] = f'"{whole.number}"'
    return whole


@router.get(PATH + "/versions", summary="What was saved, the newest first")
def list_versions(
    _: Reader, text: TextInPath, asked: Annotated[schemas.VersionQuery, Query()]
) -> Page[schemas.TemplateVersionOut]:
    with read() as session:
        return page_of(
            session,
            queries.versions(text.name, text.form, text.language),
            asked,
            schemas.TemplateVersionOut.model_validate,
            sort=asked.sort,
            orders={"number": TemplateVersion.number},
            key=TemplateVersion.id,
        )


@router.get(PATH + "/versions/{number}", summary="One version, and what it changed")
def read_version(
    _: Reader, text: TextInPath, number: Annotated[int, Path(ge=1, le=2**31 - 1)]
) -> schemas.TemplateVersionDiff:
    with read() as session:
        version = views.version(session, text, number)
    if version is None:
        raise NotFound
    return version


@router.post(PATH + "/preview", summary="A letter as it would be sent")
def preview_template(
    caller: Reader, text: TextInPath, body: schemas.PreviewIn, response: Response
) -> schemas.PreviewOut:
    """Saves and sends nothing. With a real message (`delivery_id`) the answer is personal data, and who looks is logged."""
    if body.delivery_id is not None and not caller.has(Role.ADMINISTRATOR):
        raise Problem(403, "forbidden")
    response.headers["Cache-Control"] = "no-store"
    with read() as session:
        shown = views.preview(session, text, body)
    if body.delivery_id is not None:
        log.info("message_previewed", delivery_id=str(body.delivery_id), subject=caller.subject)
    return shown


def _check_match(if_match: str | None, number: int) -> None:
    """As `tejido_shared.api.check_match`, of the number of the newest version."""
    if if_match is None:
        raise Problem(428, "if_match_missing")
    if not {f'"{number}"', "*"} & {tag.strip() for tag in if_match.split(",")}:
        raise Problem(412, "changed_meanwhile")
