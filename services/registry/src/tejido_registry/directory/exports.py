"""The directory as a table and as a map, batch by batch in the order of keys: a hundred thousand organizations take no more memory than
a few hundred, and a stranger who reads slowly holds no connection to the database meanwhile.
"""

import csv
import io
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from tejido_registry.db import tx
from tejido_registry.directory.queries import WITH_CONSENTS
from tejido_registry.directory.views import consented
from tejido_registry.models import Organization
from tejido_registry.service import PACKAGE
from tejido_registry.settings import jurisdiction
from tejido_shared import i18n
from tejido_shared.spreadsheets import MARK, defused

COLUMNS = (
    *("number", "name", "public_name", "other_names", "organization_type", "registration_status", "area", "locality"),
    *("territory", "themes", "populations", "verified_on", "description", "purpose", "address", "latitude"),
    *("longitude", "point", "phone", "email", "website", "contact_name", "id"),
)
_BATCH = 500


def names_of(kind: str) -> Mapping[str, str]:
    """The names that the jurisdiction gives the codes of `organization_type`, `area`, `theme` or `population`."""
    return _names()[kind]


@cache
def _names() -> dict[str, dict[str, str]]:
    pack = jurisdiction()
    known: dict[str, Any] = {
        "organization_type": pack.organization_types,
        "area": pack.areas,
        "theme": pack.registration.theme,
        "population": pack.registration.population,
    }
    return {kind: {one.code: one.name for one in found} for kind, found in known.items()}


def as_csv(query: sa.Select[Organization]) -> Generator[bytes, None, None]:
    """UTF-8 with a mark that tells Excel so; commas (RFC 4180)."""
    language = i18n.language.get()
    yield MARK + _lines([[i18n.text(PACKAGE, f"directory.{name}", language) for name in COLUMNS]])
    for batch in _batches(query.options(*WITH_CONSENTS), lambda row: row[0].id):
        yield _lines(_cells(one, language) for (one,) in batch)


def _cells(organization: Organization, language: str) -> list[str | float]:
    shown = consented(organization)
    cells: list[str | float] = []
    for name in COLUMNS:
        value = shown[name] if name in shown else getattr(organization, name)
        match name:
            case "organization_type" | "area":
                value = names_of(name).get(value, value)
            case "themes" | "populations":
                names = names_of(name.removesuffix("s"))
                value = "; ".join(names.get(code, code) for code in value)
            case "other_names":
                value = "; ".join(value)
            case "registration_status" | "point" if value is not None:
                value = i18n.text(PACKAGE, f"{'status' if name == 'registration_status' else name}.{value}", language)
        match value:
            case None:
                cells.append("")
            case float():
                cells.append(value)
            case date():
                cells.append(value.isoformat())
            case _:
                cells.append(defused(str(value)))
    return cells


def as_geojson(query: sa.Select[Organization]) -> Generator[bytes, None, None]:
    """A FeatureCollection (RFC 7946) of those that show a point. A blurred one says so."""
    o = Organization
    columns = (o.id, o.number, o.name, o.public_name, o.organization_type, o.area, o.themes, o.verified_on)
    points = (o.point_shown, o.public_latitude, o.public_longitude)
    rows = query.where(o.public_latitude.is_not(None)).with_only_columns(*columns, *points)
    yield b'{"type":"FeatureCollection","features":['
    comma = ""
    for batch in _batches(rows, lambda row: row.id):
        yield (comma + ",".join(map(_feature, batch))).encode()
        comma = ","
    yield b"]}"


def _feature(row: sa.Row[Any]) -> str:
    properties = {
        "number": row.number,
        "name": row.name,
        "public_name": row.public_name,
        "organization_type": row.organization_type,
        "type_name": names_of("organization_type").get(row.organization_type, row.organization_type),
        "area": row.area,
        "themes": row.themes,
        "verified_on": row.verified_on and row.verified_on.isoformat(),
        "point": row.point_shown,
    }
    geometry = {"type": "Point", "coordinates": [row.public_longitude, row.public_latitude]}
    feature = {"type": "Feature", "id": str(row.id), "geometry": geometry, "properties": properties}
    return json.dumps(feature, ensure_ascii=False, separators=(",", ":"))


def _batches(query: sa.Select[Any], key: Callable[[Any], UUID]) -> Iterator[Sequence[Any]]:
    """Each in a transaction of its own, from the key of the last."""
    batch: Sequence[Any] = ()
    while True:
        after = query.where(Organization.id > key(batch[-1])) if batch else query
        with tx() as session:
            batch = session.execute(after.order_by(Organization.id).limit(_BATCH)).all()
        if not batch:
            return
        yield batch


def _lines(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
