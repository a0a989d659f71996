"""Merges over HTTP: what it would do, proposed, confirmed by somebody else, undone."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from tejido_registry import queries as organizations
from tejido_registry.db import tx
from tejido_registry.merges import queries, schemas, service, views
from tejido_registry.models import Merge
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1/merges", tags=["merges"])
Registrar = Annotated[Principal, Depends(require(Role.REGISTRAR))]
Official = Annotated[Principal, Depends(require(*organizations.OFFICIALS))]


@router.get("/preview", summary="Two organizations side by side, and what a merge would do")
def preview_merge(asked: Annotated[schemas.PreviewQuery, Query()], _: Registrar) -> schemas.PreviewOut:
    with tx() as session:
        survivor, absorbed = service.both(session, asked.survivor_id, asked.absorbed_id)
        return views.preview(session, survivor, absorbed, {})


@router.post("", status_code=201, summary="Propose that one organization is another")
def propose_merge(body: schemas.MergeIn, once: IdempotencyKey, caller: Registrar) -> schemas.MergeOut:
    """Nothing changes until a second registrar confirms it."""
    with tx() as session:

        def act() -> schemas.MergeOut:
            survivor, absorbed = service.both(session, body.survivor_id, body.absorbed_id, lock=True)
            choices = {name: str(said) for name, said in body.choices.items()}
            merge = service.propose(session, survivor, absorbed, choices, body.reason, caller.subject)
            return views.one(session, merge)

        return once.run(session, schemas.MergeOut, act)


@router.get("", summary="Merges that were proposed, done or undone")
def list_merges(asked: Annotated[schemas.MergeQuery, Query()], _: Official) -> Page[schemas.MergeOut]:
    with tx() as session:
        page = page_of(
            session,
            queries.matching(asked),
            asked,
            lambda merge: merge,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Merge.id,
        )
        return Page(items=views.many(session, page.items), next=page.next, previous=page.previous)


@router.get("/{merge_id}", summary="One merge; while it is proposed, with what it would do")
def read_merge(merge_id: UUID, _: Official) -> schemas.MergeOut:
    with tx() as session:
        return views.one(session, _found(queries.one(session, merge_id)))


@router.post("/{merge_id}/confirmation", summary="Do what another registrar proposed")
def confirm_merge(merge_id: UUID, once: IdempotencyKey, caller: Registrar) -> schemas.MergeOut:
    """403 for whoever proposed it. 422 with every obstacle, 409 when it is no longer proposed."""
    with tx() as session:

        def act() -> schemas.MergeOut:
            merge = _found(queries.one(session, merge_id, lock=True))
            survivor, absorbed = service.sides(session, merge, lock=True)
            service.confirm(session, merge, survivor, absorbed, caller.subject)
            return views.one(session, merge)

        return once.run(session, schemas.MergeOut, act)


@router.post("/{merge_id}/refusal", summary="Decline what was proposed")
def refuse_merge(merge_id: UUID, body: schemas.ReasonIn, once: IdempotencyKey, caller: Registrar) -> schemas.MergeOut:
    with tx() as session:

        def act() -> schemas.MergeOut:
            merge = _found(queries.one(session, merge_id, lock=True))
            service.refuse(session, merge, caller.subject, body.reason)
            return views.one(session, merge)

        return once.run(session, schemas.MergeOut, act)


@router.post("/{merge_id}/undoing", summary="Undo a merge")
def undo_merge(merge_id: UUID, body: schemas.ReasonIn, once: IdempotencyKey, caller: Registrar) -> schemas.MergeOut:
    """Within the window of the jurisdiction. What a person changed since stays; `kept` names it. 409 after the window."""
    with tx() as session:

        def act() -> schemas.MergeOut:
            merge = _found(queries.one(session, merge_id, lock=True))
            survivor, absorbed = service.sides(session, merge, lock=True)
            service.undo(session, merge, survivor, absorbed, caller.subject, body.reason)
            return views.one(session, merge)

        return once.run(session, schemas.MergeOut, act)


def _found(merge: Merge | None) -> Merge:
    if merge is None:
        raise NotFound
    return merge
