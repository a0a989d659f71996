"""Shapes of areas and barrios: real ones, fictional ones and wrong ones; and what points lie in."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_registry import service as core
from tejido_registry.app import create_app
from tejido_registry.db import tx
from tejido_registry.models import HistoryEntry, Organization, Territory
from tejido_registry.settings import jurisdiction
from tejido_registry.territories import queries, service
from tejido_registry.territories.shapes import NOWHERE, POLYGONS, Map, Place, Shape, geometry_of
from tejido_shared import seam
from tejido_shared.clock import now
from tejido_shared.db import Database
from tejido_shared.testing import Issuer

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


def square(west: float, south: float, side: float = 0.02) -> dict[str, Any]:
    east, north = west + side, south + side
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def point(longitude: float, latitude: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [longitude, latitude]}


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def town(*features: dict[str, Any]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


TWO_AREAS = town(
    feature(square(-74.10, 4.60), cod="suba", nom="otra cosa"),  # by its code
    feature(square(-74.08, 4.60), cod=2, nom="USAQUEN"),  # by its name, without accent
)
NAMED = {"code": "cod", "name": "nom"}


def load(api: TestClient, headers: dict[str, str], data: bytes, kind: str = "area", **form: Any) -> dict[str, Any]:
    answer = api.post(
        "/v1/territories", files={"file": ("mapa.geojson", data)}, data={"kind": kind, **NAMED, **form}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def places(*points: tuple[float, float]) -> list[Place]:
    with tx() as session:
        return service.places(session, points)


def entered(**values: Any) -> Any:
    body: dict[str, Any] = {
        "name": "Junta",
        "public_name": None,
        "other_names": [],
        "organization_type": "community_action_board",
        "number": "",
        "registration_status": "registered",
    }
    with tx() as session:
        [body["number"]] = core.next_numbers(session)
        instant = now()
        one = Organization(**{**body, **values}, registered_at=instant, changed_at=instant)
        session.add(one)
        session.flush()
        return one.id


def test_shapes_are_loaded_once_and_asked(api: TestClient, issuer: Issuer) -> None:
    administrator = issuer.headers("administracion")
    done = load(api, administrator, TWO_AREAS)
    assert (done["read"], done["stored"], done["unchanged"], done["problems"]) == (2, 2, 0, [])
    assert len(done["missing"]) == 18
    assert "suba" not in done["missing"]
    again = load(api, administrator, TWO_AREAS)
    assert (again["stored"], again["unchanged"]) == (0, 2)

    barrios = town(
        feature(point(-74.09, 4.61), cod="1", nom="El Prado"),
        feature(point(-74.0815, 4.61), cod="2", nom="La Frontera"),  # in Suba, near Usaquén
        feature(square(-74.07, 4.612, 0.004), cod="3", nom="El Cuadrado"),
        feature(point(4.61, -74.09), cod="4", nom="Al Revés"),
    )
    done = load(api, administrator, barrios, "neighborhood")
    assert (done["stored"], [one["code"] for one in done["problems"]]) == (3, ["point_swapped"])

    assert places((4.61, -74.09), (4.611, -74.091)) == [Place("suba", "El Prado")] * 2
    assert places((4.6, -74.0999)) == [Place("suba", None)]  # a corner, more than 500 m from any barrio's point
    assert places((4.61, -74.0795)) == [Place("usaquen", None)]  # 220 m from a barrio of another area
    assert places((4.613, -74.069)) == [Place("usaquen", "El Cuadrado")]
    assert places((4.613, -74.0655)) == [Place("usaquen", None)]  # beside a barrio whose borders are known
    assert places((-74.09, 4.61), (5.0, -74.0)) == [
        Place(None, None, "point_swapped"),
        Place(None, None, "point_outside"),
    ]
    with tx() as session:
        assert service.place(session, None, None) == NOWHERE

    areas = api.get("/v1/territories/areas").json()
    assert [one["code"] for one in areas] == [one.code for one in jurisdiction().areas]
    assert {one["code"]: one["neighborhoods"] for one in areas if one["has_shape"]} == {"suba": 2, "usaquen": 1}
    listed = api.get("/v1/territories/neighborhoods", params={"area": "suba"}).json()["items"]
    assert [(one["code"], one["name"]) for one in listed] == [("1", "El Prado"), ("2", "La Frontera")]


def test_a_change_is_seen_and_what_left_the_file_can_be_removed(api: TestClient, issuer: Issuer) -> None:
    administrator = issuer.headers("administracion")
    assert places((4.61, -74.09)) == [NOWHERE]
    load(api, administrator, TWO_AREAS)
    assert places((4.61, -74.09)) == [Place("suba")]
    swapped = town(
        feature(square(-74.08, 4.60), cod="suba", nom="Suba"), feature(square(-74.10, 4.60), cod="usaquen", nom="x")
    )
    assert load(api, administrator, swapped)["stored"] == 2
    assert places((4.61, -74.09)) == [Place("usaquen")]
    done = load(api, administrator, town(feature(square(-74.08, 4.60), cod="suba", nom="Suba")), replace="true")
    assert (done["stored"], done["removed"]) == (0, 1)
    assert places((4.61, -74.09)) == [Place(None, None, "point_outside")]


WRONG = [
    ("shape_invalid", [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]),
    ("shape_not_in_degrees", [[[990000, 1000000], [990100, 1000000], [990100, 1000100], [990000, 1000000]]]),
    ("shape_not_in_degrees", []),
    ("shape_invalid", [[[0, 0], [1, 1], [0, 0]]]),
    ("shape_unreadable", [[["a", "b"], [1, 1], [1, 0], [0, 0]]]),
    ("shape_unreadable", "x"),
]


def test_what_is_wrong_is_reported_and_the_rest_is_stored(api: TestClient, issuer: Issuer) -> None:
    good = feature(square(-74.1, 4.6), cod="suba", nom="Suba")
    wrong = [feature({"type": "Polygon", "coordinates": one}, cod="usme", nom="Usme") for _, one in WRONG]
    others = [
        ("shape_kind", feature(point(-74.1, 4.6), cod="usme", nom="Usme")),
        ("shape_kind", feature(None, cod="usme", nom="Usme")),
        ("shape_kind", "not a feature"),
        ("shape_unnamed", feature(square(-74.1, 4.6), cod="usme")),
        ("shape_unnamed", feature(square(-74.1, 4.6), nom="Usme", cod=["usme"])),
        ("shape_of_no_area", feature(square(-74.1, 4.6), cod="99", nom="Atlántida")),
        ("shape_repeated", feature(square(-74.0, 4.6), cod="suba", nom="Suba")),
    ]
    data = town(good, *wrong, *(one for _, one in others))  # type: ignore[arg-type]
    done = load(api, issuer.headers("administracion"), data)
    assert done["stored"] == 1
    assert [one["code"] for one in done["problems"]] == [code for code, _ in (*WRONG, *others)]
    assert [one["position"] for one in done["problems"]] == list(range(2, len(WRONG) + len(others) + 2))
    assert all(one["reason"] and "field." not in one["reason"] for one in done["problems"])


def test_who_may_load_and_what_is_no_map(api: TestClient, issuer: Issuer) -> None:
    form = {"kind": "area", **NAMED}
    for headers, status in (({}, 401), (issuer.headers("registro"), 403), (issuer.headers("auditoria"), 403)):
        answer = api.post("/v1/territories", files={"file": TWO_AREAS}, data=form, headers=headers)
        assert answer.status_code == status
    for data in (b"", b"[" * 100_000, b"null", b'{"features": {}}', b"\xff\xfe", b'{"features": [NaN, 1e999]}'[:14]):
        answer = api.post("/v1/territories", files={"file": data}, data=form, headers=issuer.headers("administracion"))
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "geojson"), data[:20]


def test_overlaps_and_gaps_of_simplified_borders() -> None:
    """Two neighbours that overlap by 200 m and two that leave 60 m between them."""
    shapes = [
        Shape("west", "", None, geometry_of(square(-74.10, 4.60), POLYGONS)),
        Shape("east", "", None, geometry_of(square(-74.0818, 4.60), POLYGONS)),
        Shape("north", "", None, geometry_of(square(-74.10, 4.6205), POLYGONS)),
    ]
    asked = Map(shapes, [], 500)
    assert [one.area for one in asked.places([(4.61, -74.0815), (4.61, -74.0803)])] == ["west", "east"]
    assert [one.area for one in asked.places([(4.6202, -74.09), (4.62035, -74.09), (4.65, -74.09)])] == [
        "west",
        "north",
        None,
    ]


def test_areas_are_found_anew_in_batches(api: TestClient, issuer: Issuer) -> None:
    load(api, issuer.headers("administracion"), TWO_AREAS)
    inside = {"latitude": 4.61, "longitude": -74.09}
    blank = entered(**inside)
    typed = entered(**inside, area="usme")
    followed = entered(**inside, area="usaquen", area_found="usaquen", neighborhood="Mío")
    lost = entered(latitude=6.0, longitude=-74.0, area="usme", area_found="usme")
    nowhere = entered(area="usme")
    merged = entered(**inside, merged_into=blank)

    done = _locate("--batch", "2")
    assert "4 organizaciones con punto" in done
    assert "4 cambiadas" in done
    assert "1 fuera" in done
    with tx() as session:
        rows = {one.id: one for one in session.scalars(sa.select(Organization))}
        areas = {key: (one.area, one.area_found, one.version) for key, one in rows.items()}
        assert rows[followed].neighborhood == "Mío"
        history = session.scalars(sa.select(HistoryEntry).where(HistoryEntry.kind == "located")).all()
        assert {one.organization_id: one.details for one in history} == {
            blank: {"before": None, "after": "suba"},
            followed: {"before": "usaquen", "after": "suba"},
        }
        told = session.scalars(
            sa.select(seam.outbox.c.envelope["subject"].astext).where(seam.outbox.c.subscriber == "projects")
        )
        assert sorted(told) == sorted([str(blank), str(followed)])
    assert areas[blank] == ("suba", "suba", 2)
    assert areas[typed] == ("usme", "suba", 2)
    assert areas[followed] == ("suba", "suba", 2)
    assert areas[lost] == ("usme", None, 2)
    assert areas[nowhere] == ("usme", None, 1)
    assert areas[merged] == (None, None, 1)
    assert "0 cambiadas" in _locate()
    with tx() as session:
        assert session.scalar(sa.select(sa.func.max(Organization.version))) == 2


def test_an_organization_with_its_degrees_the_wrong_way_round_is_warned(api: TestClient, issuer: Issuer) -> None:
    load(api, issuer.headers("administracion"), TWO_AREAS)
    registrar = issuer.headers("registro", sub="registradora-1")

    def warned(latitude: float, longitude: float, **body: Any) -> dict[str, str]:
        body |= {"name": "Junta", "organization_type": "community_action_board"}
        made = api.post(
            "/v1/organizations", json={**body, "latitude": latitude, "longitude": longitude}, headers=registrar
        )
        assert made.status_code == 201, made.text
        read = api.get(f"/v1/organizations/{made.json()['id']}", headers=registrar).json()
        assert all("field." not in one["reason"] for one in read["warnings"])
        return {one["field"]: one["code"] for one in read["warnings"]}

    assert warned(4.61, -74.09) == {}
    assert warned(-74.09, 4.61) == {"latitude": "point_swapped"}
    assert warned(5.5, -74.09) == {"latitude": "point_outside"}
    assert warned(4.61, -74.09, area="usaquen") == {"area": "area_disagrees"}


def test_an_import_warns_of_the_rows_whose_point_is_in_no_area(api: TestClient, issuer: Issuer) -> None:
    load(api, issuer.headers("administracion"), TWO_AREAS)
    mapping = {
        "columns": {"name": "n", "latitude": "lat", "longitude": "lon"},
        "constants": {"organization_type": "community_action_board"},
        "key": ["n"],
    }
    rows = "n,lat,lon\nJunta Uno,4.61,-74.09\nJunta Dos,-74.09,4.61\nJunta Tres,5.5,-74.09\n"

    def report(**form: Any) -> tuple[int, list[tuple[int, str, str, str]]]:
        form = {"source": "mapa", "mapping": json.dumps(mapping), **form}
        answer = api.post("/v1/imports", files={"file": ("f.csv", rows)}, data=form, headers=issuer.headers("registro"))
        assert answer.status_code == 200, answer.text
        said = answer.json()
        return said["created"], [
            (one["row"], one["field"], one["code"], one["severity"])
            for one in said["problems"]
            if "point" in one["code"]
        ]

    warned = [(3, "latitude", "point_swapped", "warning"), (4, "latitude", "point_outside", "warning")]
    assert report(dry_run=True) == (3, warned)
    assert report() == (3, warned)
    assert report() == (0, [])


def _locate(*arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "tejido_registry", "locate", *arguments], capture_output=True, text=True, check=True
    )
    return ran.stderr


def test_the_localities_and_barrios_of_bogota(databases: dict[str, Database], handouts: Path) -> None:
    folder = handouts / "data" / "geography"
    with tx() as session:
        localities = service.read((folder / "bogota_localidades.geojson").read_bytes())
        done = service.load(
            session,
            "area",
            localities,
            code="Identificador unico de la localidad",
            name="Nombre de la localidad",
        )
        assert (done.stored, done.missing, done.problems) == (20, [], [])
        barrios = service.read((folder / "barrios_bogota.geojson").read_bytes())
        done = service.load(session, "neighborhood", barrios, code="codigo", name="nombre")
        assert (done.read, done.stored, done.problems) == (1193, 1193, [])
        names = Counter(session.scalars(sa.select(Territory.name).where(Territory.kind == "neighborhood")))
        assert (len(names), names["SAN PEDRO"]) == (1121, 4)  # every one of a repeated name is kept
    with tx() as session:
        plaza, suba = service.places(session, [(4.5981, -74.0760), (4.7410, -74.0840)])
        assert (plaza.area, suba.area) == ("la-candelaria", "suba")
        # What is nearest to a barrio's own point is that barrio, or one of the same name.
        middle = [(*one["geometry"]["coordinates"], " ".join(one["properties"]["nombre"].split())) for one in barrios]
        found = service.places(session, [(latitude, longitude) for longitude, latitude, _ in middle])
        assert [at.neighborhood for at in found] == [name for _, _, name in middle]
        assert sum(at.area is None for at in found) <= 1
        assert queries.version(session)[0] == 1213


def test_the_districts_of_tucuman(handouts: Path) -> None:
    """With the other pack, which one process can only have one of: the command in a process of its own."""
    read = json.loads((handouts / "data" / "geography" / "smt_distritos.geojson").read_text())
    script = """
import sys
from tejido_registry.db import tx
from tejido_registry.territories import service
features = service.read(open(sys.argv[1], "rb").read())
with tx() as session:
    done = service.load(session, "area", features, code="id", name="nombre", replace=True)
    print(done.stored, done.missing, done.problems, service.place(session, -26.8306, -65.2038))
    session.rollback()
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, str(handouts / "data" / "geography" / "smt_distritos.geojson")],
        capture_output=True,
        text=True,
        env=os.environ | {"TEJIDO_JURISDICTION": str(ROOT / "jurisdictions" / "ar-tucuman")},
    )
    assert len(read["features"]) == 20
    assert ran.stdout.startswith("20 [] [] Place(area='distrito-"), ran.stderr
