"""Shapes of areas and barrios: loaded, kept, asked. Each takes a session, none commits."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from shapely.geometry.base import BaseGeometry
from sqlalchemy.orm import Session, object_session

from tejido_registry.models import Organization, Territory
from tejido_registry.queries import fold
from tejido_registry.settings import jurisdiction, settings
from tejido_registry.territories import queries, schemas
from tejido_registry.territories.shapes import POLYGONS, Map, Place, Point, Shape, Unusable, geometry_of
from tejido_shared import i18n
from tejido_shared.ids import new_id
from tejido_shared.refusals import Refused

PACKAGE = "tejido_registry"
MOST_SHAPES = 20_000
LONGEST = 200
_LOCK = 0x7E11D2
_KINDS = {"area": POLYGONS, "neighborhood": (*POLYGONS, "Point")}
_drawn: tuple[tuple[int, UUID | None], Map] | None = None


def place(session: Session, latitude: float | None, longitude: float | None) -> Place:
    """What a point in degrees lies in: the code of an area and the name of a barrio, each none if not known."""
    return places(session, [(latitude, longitude)])[0]


def places(session: Session, points: Sequence[Point]) -> list[Place]:
    """The same for many points, in one statement. Without points, none."""
    if all(None in point for point in points):
        return [Place()] * len(points)
    return _map(session).places(points)


def flaw(organization: Organization) -> str | None:
    """What is wrong with the point of a stored organization that lies in no area: `point_outside` or `point_swapped`."""
    session = object_session(organization)
    if session is None or organization.latitude is None or organization.area_found is not None:
        return None
    return place(session, organization.latitude, organization.longitude).warning


def _map(session: Session) -> Map:
    """Drawn once in a process, and anew when a shape has changed."""
    global _drawn
    version = queries.version(session)
    if _drawn is None or _drawn[0] != version:
        shapes: dict[str, list[Shape]] = {"area": [], "neighborhood": []}
        for one in queries.shapes(session):
            geometry = geometry_of(one.shape, _KINDS[one.kind])
            shapes[one.kind].append(Shape(one.code, one.name, one.area, geometry))
        _drawn = version, Map(shapes["area"], shapes["neighborhood"], settings().neighborhood_meters)
    return _drawn[1]


# Loading


def read(data: bytes) -> list[Any]:
    """The features of a GeoJSON file. Raises `Refused` for one that is none."""
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused("geojson", "file") from None
    features = given.get("features") if isinstance(given, dict) else None
    if not isinstance(features, list):
        raise Refused("geojson", "file")
    if len(features) > MOST_SHAPES:
        raise Refused("too_many_shapes", "file", most=MOST_SHAPES, shapes=len(features))
    return features


def load(
    session: Session,
    kind: schemas.Kind,
    features: Sequence[Any],
    *,
    code: str,
    name: str,
    area: str | None = None,
    by_name: bool = False,
    replace: bool = False,
) -> schemas.LoadOut:
    """Keeps the shapes of a file. What is wrong with one is reported, and it is not stored; the others are.

    `code`, `name` and `area` are the properties that hold them. Areas must be the jurisdiction's: known by its code or, accents and
    capitals aside, its name; `by_name`: by the name alone, where the file's codes are others. A barrio's area is what `area` says of
    it, else the one its shape lies in. `replace`: shapes of the kind that the file does not hold are removed.
    """
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    present = queries.of_kind(session, kind)
    known = _names()
    town = _map(session) if kind == "neighborhood" else None
    wanted: dict[str, Shape] = {}
    problems: list[schemas.ShapeProblem] = []
    for position, feature in enumerate(features, start=1):
        said = feature.get("properties") if isinstance(feature, dict) else None
        said = said if isinstance(said, dict) else {}
        label = _text(said.get(name))
        try:
            geometry = geometry_of(feature.get("geometry") if isinstance(feature, dict) else None, _KINDS[kind])
            own = _text(said.get(code))
            if not label or not own:
                raise Unusable("shape_unnamed", name if not label else code)
            if town is None:
                shape = _area(known, "" if by_name else own, label, geometry)
            else:
                shape = _neighborhood(town, known, own, label, geometry, _text(said.get(area)) if area else "")
            if shape.code in wanted:
                raise Unusable("shape_repeated", shape.code)
            wanted[shape.code] = shape
        except Unusable as flaw:
            reason = i18n.text(PACKAGE, f"field.{flaw.code}", detail=flaw.detail)
            problems.append(schemas.ShapeProblem(position=position, name=label, code=flaw.code, reason=reason))
    fresh = [shape for shape in wanted.values() if not _same(present.get(shape.code), shape)]
    gone = [one for own, one in present.items() if own not in wanted] if replace else []
    left = [present[shape.code] for shape in fresh if shape.code in present] + gone
    if left:
        session.execute(sa.delete(Territory).where(Territory.id.in_([one.id for one in left])))
    if fresh:
        session.execute(sa.insert(Territory), [_row(kind, shape) for shape in fresh])
    stored = set(present).union(wanted).difference(one.code for one in gone)
    missing = [one.code for one in jurisdiction().areas if one.code not in stored] if kind == "area" else []
    return schemas.LoadOut(
        kind=kind,
        read=len(features),
        stored=len(fresh),
        unchanged=len(wanted) - len(fresh),
        removed=len(gone),
        missing=missing,
        problems=problems,
    )


def _names() -> dict[str, str]:
    """The codes of the jurisdiction's areas by code and by name."""
    areas = jurisdiction().areas
    return {_key(one.code): one.code for one in areas} | {_key(one.name): one.code for one in areas}


def _key(text: str) -> str:
    """A name as it is compared: one file says Candelaria, another La Candelaria."""
    return re.sub("^(el|la|los|las) ", "", fold(text))


def _area(known: dict[str, str], own: str, label: str, geometry: BaseGeometry) -> Shape:
    found = known.get(_key(own)) or known.get(_key(label))
    if found is None:
        raise Unusable("shape_of_no_area", f"{own}, {label}")
    return Shape(found, jurisdiction().area(found).name, None, geometry)


def _neighborhood(town: Map, known: dict[str, str], own: str, label: str, geometry: BaseGeometry, area: str) -> Shape:
    if area and _key(area) not in known:
        raise Unusable("shape_of_no_area", area)
    inside = town.place_of(geometry)
    if inside.warning == "point_swapped":
        raise Unusable("point_swapped")
    return Shape(own, label, known[_key(area)] if area else inside.area, geometry)


def _row(kind: str, shape: Shape) -> dict[str, Any]:
    return {
        "id": new_id(),
        "kind": kind,
        "code": shape.code,
        "name": shape.name,
        "area": shape.area,
        "shape": _geojson(shape.geometry),
    }


def _same(stored: Territory | None, shape: Shape) -> bool:
    if stored is None:
        return False
    return (stored.name, stored.area, stored.shape) == (shape.name, shape.area, _geojson(shape.geometry))


def _geojson(geometry: BaseGeometry) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(
        json.dumps(geometry.__geo_interface__)
    )  # lists for tuples, as the database returns them
    return plain


def _text(value: Any) -> str:
    """A property as text on one line: files hold numbers where codes are meant."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())[:LONGEST]


def areas(session: Session) -> list[schemas.AreaOut]:
    """The areas of the jurisdiction, in its order."""
    counted = queries.neighborhoods_by_area(session)
    shaped = queries.codes(session, "area")
    return [
        schemas.AreaOut(
            code=one.code, name=one.name, has_shape=one.code in shaped, neighborhoods=counted.get(one.code, 0)
        )
        for one in jurisdiction().areas
    ]
