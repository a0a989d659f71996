"""HTTP only: parse, call one use case, return the model."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Query, UploadFile

from tejido_registry.db import tx
from tejido_registry.models import Territory
from tejido_registry.territories import queries, schemas, service
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.fields import Line
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of

router = APIRouter(prefix="/v1", tags=["territories"])

Administrator = Annotated[Principal, Depends(require(Role.ADMINISTRATOR))]


@router.post("/territories", summary="Load the shapes of areas or barrios")
def load_territories(
    _: Administrator,
    file: Annotated[UploadFile, File(description="GeoJSON, WGS 84: polygons, or points for barrios")],
    kind: Annotated[schemas.Kind, Form()],
    code: Annotated[Line, Form(description="Property of a feature that holds its code")],
    name: Annotated[Line, Form(description="Property that holds its name")],
    *,
    area: Annotated[Line | None, Form(description="Property with the code or name of a barrio's area")] = None,
    by_name: Annotated[bool, Form(description="Know areas by their names only: the file has codes of its own")] = False,
    replace: Annotated[bool, Form(description="Remove the shapes of this kind that are not in the file")] = False,
) -> schemas.LoadOut:
    """What is wrong with a shape is reported, and it is not stored. Repeating it changes nothing, so it needs no Idempotency-Key.

    Organizations keep the area they have until the command `locate` finds it anew.
    """
    features = service.read(file.file.read())
    with tx() as session:
        return service.load(session, kind, features, code=code, name=name, area=area, by_name=by_name, replace=replace)


@router.get("/territories/areas", summary="The areas of the jurisdiction")
def list_areas(_: Anybody) -> list[schemas.AreaOut]:
    with tx() as session:
        return service.areas(session)


@router.get("/territories/neighborhoods", summary="The barrios whose place is known")
def list_neighborhoods(
    asked: Annotated[schemas.NeighborhoodQuery, Query()], _: Anybody
) -> Page[schemas.NeighborhoodOut]:
    with tx() as session:
        return page_of(
            session,
            queries.neighborhoods(asked.area),
            asked,
            schemas.NeighborhoodOut.model_validate,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=Territory.id,
        )
