"""What a point lies in: pure geometry over shapes in degrees (WGS 84). Knows neither database nor pack.

Shapes and points are drawn on a plane in metres around the middle of the town, which is true to a few metres in a thousand.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import shapely
from shapely.geometry.base import BaseGeometry

GAP_METERS = 50.0
"""Published shapes are simplified: between neighbours are gaps, and what lies in one belongs to the nearest."""
METERS_PER_DEGREE = 111_195.0
"""Of latitude, on a sphere of the earth's mean radius."""
POLYGONS = ("Polygon", "MultiPolygon")
Point = tuple[float | None, float | None]
"""Latitude and longitude in degrees, or nothing."""


class Place(NamedTuple):
    """What a point lies in: code of the area, name of the barrio. `warning`: `point_outside` or `point_swapped`, else none."""

    area: str | None = None
    neighborhood: str | None = None
    warning: str | None = None


NOWHERE = Place()


class Unusable(ValueError):  # noqa: N818
    """A geometry that cannot be a territory. `code` names the reason in the catalogue, `detail` says where."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Shape:
    """`area`: of a barrio, the code of the area it is in, if that is known."""

    code: str
    name: str
    area: str | None
    geometry: BaseGeometry


def geometry_of(given: Any, kinds: Sequence[str]) -> BaseGeometry:
    """The geometry in a piece of GeoJSON, of one of these types. Raises `Unusable`."""
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in kinds:
        raise Unusable("shape_kind", str(kind)[:50])
    try:
        geometry = shapely.from_geojson(json.dumps(given, allow_nan=False))
    except (ValueError, RecursionError, shapely.errors.ShapelyError):
        raise Unusable("shape_unreadable") from None
    west, south, east, north = shapely.force_2d(geometry).bounds if not geometry.is_empty else [math.nan] * 4
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise Unusable("shape_not_in_degrees")
    if not geometry.is_valid:
        raise Unusable("shape_invalid", shapely.is_valid_reason(geometry)[:200])
    return shapely.force_2d(geometry)


class Map:
    """The shapes of a town, ready to be asked. `near`: how many metres from a barrio's point still are in it."""

    def __init__(self, areas: Iterable[Shape], neighborhoods: Iterable[Shape], near: float) -> None:
        self._areas = sorted(areas, key=lambda shape: shape.code)
        self._neighborhoods = sorted(neighborhoods, key=lambda shape: shape.code)
        middle = shapely.GeometryCollection(
            [one.geometry for one in (*self._areas, *self._neighborhoods)]
        ).envelope.centroid
        latitude = 0.0 if middle.is_empty else math.radians(middle.y)
        self._scale = METERS_PER_DEGREE * math.cos(latitude), METERS_PER_DEGREE
        self._area_tree = self._drawn(self._areas)
        self._neighborhood_tree = self._drawn(self._neighborhoods)
        # What has no extent is a mark in the middle of a barrio; a polygon is the barrio itself.
        self._reach = [near if one.geometry.area == 0 else GAP_METERS for one in self._neighborhoods]

    def places(self, points: Sequence[Point]) -> list[Place]:
        """Where each of the points lies."""
        known = [index for index, (latitude, longitude) in enumerate(points) if None not in (latitude, longitude)]
        found = [NOWHERE] * len(points)
        if not known:
            return found
        degrees = shapely.points([(points[index][1], points[index][0]) for index in known])
        drawn = shapely.transform(degrees, self._on_plane)
        areas = self._areas_of(drawn)
        lost = [n for n, area in enumerate(areas) if area is None and self._areas]
        swapped = shapely.transform(degrees[lost], lambda pairs: self._on_plane(pairs[:, ::-1]))
        turned = dict(zip(lost, self._areas_of(swapped), strict=True))
        neighborhoods = self._neighborhoods_of(drawn, areas)
        for n, index in enumerate(known):
            warning = None if n not in turned else "point_outside" if turned[n] is None else "point_swapped"
            found[index] = Place(areas[n], neighborhoods[n], warning)
        return found

    def place_of(self, geometry: BaseGeometry) -> Place:
        """Where the middle of a shape in degrees lies."""
        middle = geometry.representative_point()
        return self.places([(middle.y, middle.x)])[0]

    def _on_plane(self, degrees: Any) -> Any:
        return degrees * self._scale

    def _drawn(self, shapes: Sequence[Shape]) -> Any:
        return shapely.STRtree(shapely.transform([one.geometry for one in shapes], self._on_plane))

    def _areas_of(self, drawn: Any) -> list[str | None]:
        """Neighbours that were simplified overlap a little: a point in two lies in the one whose border is further away."""
        tree = self._area_tree
        which, where = tree.query(drawn, "dwithin", GAP_METERS)
        away = shapely.distance(drawn[which], tree.geometries[where])
        deep = shapely.distance(drawn[which], shapely.boundary(tree.geometries[where]))
        best: dict[int, tuple[float, float, int]] = {}
        for n, area, distance, depth in zip(which, where, away, deep, strict=True):
            rank = (float(distance), -float(depth), int(area))
            best[int(n)] = min(rank, best.get(int(n), rank))
        return [self._areas[best[n][2]].code if n in best else None for n in range(len(drawn))]

    def _neighborhoods_of(self, drawn: Any, areas: Sequence[str | None]) -> list[str | None]:
        """The nearest within reach that is not known to be in another area."""
        near: dict[int, list[tuple[float, int]]] = defaultdict(list)
        tree = self._neighborhood_tree
        which, where = tree.query(drawn, "dwithin", max(self._reach, default=0.0))
        away = shapely.distance(drawn[which], tree.geometries[where])
        for n, shape, distance in zip(which, where, away, strict=True):
            if distance <= self._reach[shape]:
                near[int(n)].append((float(distance), int(shape)))
        found: list[str | None] = []
        for n, area in enumerate(areas):
            candidates = (self._neighborhoods[shape] for _, shape in sorted(near[n]))
            same = (one.name for one in candidates if area is None or one.area in (None, area))
            found.append(next(same, None))
        return found
