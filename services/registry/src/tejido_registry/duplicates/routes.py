"""Possible duplicates over HTTP: the queue to review, and what a registrar says of a pair."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from tejido_registry import queries as organizations
from tejido_registry.db import tx
from tejido_registry.duplicates import queries, schemas, service, views
from tejido_registry.models import DuplicatePair
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1/duplicates", tags=["duplicates"])
Registrar = Annotated[Principal, Depends(require(Role.REGISTRAR))]
Official = Annotated[Principal, Depends(require(*organizations.OFFICIALS))]


@router.get("", summary="Organizations that may be entered twice, the most likely first")
def list_pairs(asked: Annotated[schemas.PairQuery, Query()], _: Official) -> Page[schemas.PairOut]:
    with tx() as session:
        page = page_of(
            session,
            queries.pairs(asked),
            asked,
            lambda pair: pair,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=DuplicatePair.id,
        )
        return Page(items=views.pairs(session, page.items), next=page.next, previous=page.previous)


@router.get("/figures", summary="What was found, and how far the search is")
def read_figures(_: Official) -> schemas.FiguresOut:
    with tx() as session:
        by_status, by_score, to_compare = service.figures(session)
        return schemas.FiguresOut(**by_status, by_score=by_score, to_compare=to_compare)


@router.post("/scan", status_code=202, summary="Compare all organizations anew")
def scan(_: Registrar) -> schemas.ScanOut:
    """In the background. What was said to be different is not brought back."""
    with tx() as session:
        return schemas.ScanOut(to_compare=service.compare_all_again(session))


@router.get("/{pair_id}", summary="Two organizations side by side")
def read_pair(pair_id: UUID, _: Official) -> schemas.PairOut:
    with tx() as session:
        return views.pairs(session, [_found(queries.pair(session, pair_id))])[0]


@router.post("/{pair_id}/different", summary="They are two organizations")
def declare_different(
    pair_id: UUID, body: schemas.DifferentIn, once: IdempotencyKey, caller: Registrar
) -> schemas.PairOut:
    """Remembered for ever: no later search brings the pair back. 409 if they were merged."""
    with tx() as session:

        def act() -> schemas.PairOut:
            pair = _found(queries.pair(session, pair_id, lock=True))
            service.declare_different(session, pair, caller.subject, body.reason)
            return views.pairs(session, [pair])[0]

        return once.run(session, schemas.PairOut, act)


def _found(pair: DuplicatePair | None) -> DuplicatePair:
    if pair is None:
        raise NotFound
    return pair
