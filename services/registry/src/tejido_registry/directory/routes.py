"""HTTP only: public profiles, and the directory for maps, tables, other registers and whoever follows it."""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tejido_registry import queries as register
from tejido_registry.db import tx
from tejido_registry.directory import exports, hsds, queries, schemas, service, views
from tejido_registry.models import Organization, PublicProfile
from tejido_registry.settings import settings
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.jurisdiction import Role
from tejido_shared.problems import NotFound
from tejido_shared.refusals import NotForThem

router = APIRouter(prefix="/v1")

Person = Annotated[Principal, Depends(require())]
IfNoneMatch = Annotated[
    str | None, Header(alias="If-None-Match", description="The ETag of what you have: 304 if it is so still")
]
FRESH = "public, max-age=60"
"""How long others may keep an answer. Not longer: a consent that is withdrawn is to be gone soon."""
_FOR_ALL = {"Cache-Control": FRESH}
_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "As the tag that was sent says"}}
_CHUNK = 1 << 16


@router.get("/organizations/{organization_id}/profile", tags=["directory"], summary="What it lets everybody see")
def read_profile(organization_id: UUID, caller: Person, response: Response) -> schemas.ProfileOut:
    with tx() as session:
        organization = _its(register.one(session, caller, organization_id), caller)
        profile = queries.profile_of(session, organization_id)
        response.headers["ETag"] = etag(profile or PublicProfile(version=0))
        return views.profile_out(organization, profile)


@router.put("/organizations/{organization_id}/profile", tags=["directory"], summary="Say what everybody may see")
def put_profile(
    organization_id: UUID, body: schemas.ProfileIn, caller: Person, response: Response, if_match: IfMatch = None
) -> schemas.ProfileOut:
    """Who acts for the organization consents and withdraws; a registrar does it for them with what shows that they want it."""
    with tx() as session:
        organization = _its(register.one(session, caller, organization_id, lock=True), caller)
        own = register.acts_for(caller, organization)
        if not own and not caller.has(Role.REGISTRAR):
            raise NotForThem("only_own_profile")
        profile = queries.profile_of(session, organization_id)
        check_match(if_match, profile or PublicProfile(version=0))
        profile = service.set_profile(session, organization, profile, body, caller.subject, for_them=not own)
        response.headers["ETag"] = etag(profile)
        return views.profile_out(organization, profile)


@router.get(
    "/directory.geojson",
    tags=["directory"],
    summary="The directory for maps (GeoJSON, RFC 7946)",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/geo+json": {"schema": {"type": "object"}}}}},
)
def directory_geojson(asked: Annotated[schemas.DirectoryFilter, Query()], _: Anybody) -> StreamingResponse:
    """Those of the directory that show a point, exact or blurred as each wants it."""
    lines = exports.as_geojson(queries.listed(asked, register.box_of(asked.bbox)))
    return StreamingResponse(_chunks(lines), media_type="application/geo+json", headers=_FOR_ALL)


@router.get(
    "/directory.csv",
    tags=["directory"],
    summary="The directory as a table",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def directory_csv(asked: Annotated[schemas.DirectoryFilter, Query()], _: Anybody) -> StreamingResponse:
    """UTF-8 with commas; headings and names of statuses in the caller's language."""
    lines = exports.as_csv(queries.listed(asked, register.box_of(asked.bbox)))
    headers = _FOR_ALL | {"Content-Disposition": 'attachment; filename="directorio.csv"', "Vary": "Accept-Language"}
    return StreamingResponse(_chunks(lines), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/changes", tags=["directory"], summary="What changed in the directory since a place in the feed")
def read_changes(asked: Annotated[schemas.FeedQuery, Query()], _: Anybody) -> schemas.FeedOut:
    """Ask again with `next` for what came since: nothing is missed, however long transactions take."""
    tx_id, row_id = (int(part) for part in (asked.after or "0.0").split("."))
    with tx() as session:
        rows = queries.changes(session, (tx_id, row_id), asked.limit + 1)
    seen = rows[: asked.limit]
    return schemas.FeedOut(
        items=[
            schemas.ChangeOut(
                organization_id=row.organization_id,
                at=row.at,
                what="changed" if row.is_listed else "removed",
                number=row.number if row.is_listed else None,
                merged_into=row.merged_into,
            )
            for row in seen
        ],
        next=f"{seen[-1].tx}.{seen[-1].id}" if seen else asked.after,
        more=len(rows) > asked.limit,
    )


# HSDS 3.0


@router.get("/hsds", tags=["hsds"], summary="Which version of HSDS this is")
def about_hsds(_: Anybody) -> schemas.HsdsAbout:
    base = settings().common.public_url.rstrip("/")
    return schemas.HsdsAbout(version=hsds.VERSION, profile=hsds.PROFILE, openapi_url=f"{base}/registry/v1/openapi.json")


@router.get(
    "/hsds/organizations",
    tags=["hsds"],
    summary="The directory's organizations, as HSDS 3.0",
    response_model=schemas.HsdsPage,
    responses=_UNCHANGED,
)
def hsds_organizations(
    asked: Annotated[schemas.HsdsQuery, Query()], _: Anybody, if_none_match: IfNoneMatch = None
) -> Response:
    with tx() as session:
        total, found = queries.page(session, asked.page, asked.per_page, asked.modified_after)
        return _cached(_page(total, asked, [hsds.organization(one) for one in found]), if_none_match)


@router.get(
    "/hsds/organizations/{organization_id}",
    tags=["hsds"],
    summary="One organization, as HSDS 3.0",
    response_model=dict[str, Any],
    responses=_UNCHANGED,
)
def hsds_organization(organization_id: UUID, _: Anybody, if_none_match: IfNoneMatch = None) -> Response:
    with tx() as session:
        return _cached(hsds.organization(_listed(queries.one(session, organization_id))), if_none_match)


@router.get(
    "/hsds/services",
    tags=["hsds"],
    summary="What the directory's organizations work on, as HSDS 3.0",
    response_model=schemas.HsdsPage,
    responses=_UNCHANGED,
)
def hsds_services(
    asked: Annotated[schemas.HsdsServiceQuery, Query()], _: Anybody, if_none_match: IfNoneMatch = None
) -> Response:
    with tx() as session:
        total, found = queries.themes_page(
            session, asked.page, asked.per_page, asked.modified_after, asked.organization_id
        )
        return _cached(_page(total, asked, [hsds.service(one, theme) for one, theme in found]), if_none_match)


def _its(organization: Organization | None, caller: Principal) -> Organization:
    if organization is None:
        raise NotFound
    if not register.is_official(caller) and not register.acts_for(caller, organization):
        raise NotForThem("only_own_profile")
    return organization


def _listed(organization: Organization | None) -> Organization:
    if organization is None:
        raise NotFound
    return organization


def _page(total: int, asked: schemas.HsdsQuery, contents: list[hsds.Object]) -> schemas.HsdsPage:
    pages = max(1, -(-total // asked.per_page))
    return schemas.HsdsPage(
        total_items=total,
        total_pages=pages,
        page_number=asked.page,
        size=len(contents),
        first_page=asked.page == 1,
        last_page=asked.page >= pages,
        empty=not contents,
        contents=contents,
    )


def _cached(answer: BaseModel | hsds.Object, if_none_match: str | None) -> Response:
    """The answer with a tag of what it says, or 304 to whoever has it."""
    document = answer.model_dump_json() if isinstance(answer, BaseModel) else json.dumps(answer, ensure_ascii=False)
    tag = f'W/"{hashlib.sha256(document.encode()).hexdigest()[:32]}"'
    headers = {"Cache-Control": FRESH, "ETag": tag, "Vary": "Accept-Language"}
    if if_none_match is not None and tag in {one.strip() for one in if_none_match.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(document, media_type="application/json", headers=headers)


def _chunks(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Fewer and larger pieces."""
    kept = bytearray()
    for line in lines:
        kept += line
        if len(kept) >= _CHUNK:
            yield bytes(kept)
            kept.clear()
    yield bytes(kept)
