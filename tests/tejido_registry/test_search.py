"""The search: without accents, with typing errors, in a few statements."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_registry.app import create_app
from tejido_registry.db import tx
from tejido_shared.db import Database

from .test_directory import create, say

NAMES = [
    "Fundación Niñez y Esperanza",
    "Asociación de Vecinos Villa Flores",
    "Biblioteca Popular José Martí",
    "Club Social y Deportivo Ñandú",
    "Cooperativa de Recicladores El Progreso",
    "Junta de Acción Comunal Barrio Restrepo II Sector",
    "Junta de Acción Comunal Barrio Restrepo",
    "Corporación Semillas de Juventud",
]


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def named(api: TestClient, issuer: Any) -> dict[str, str]:
    registrar = dict(issuer.headers("registro", sub="registradora-1"))
    for name in NAMES:
        create(api, registrar, name=name)
    return registrar


def found(api: TestClient, q: str, **more: Any) -> list[str]:
    """All that is found, page by page."""
    names: list[str] = []
    asked: dict[str, Any] = {"q": q} | more
    while True:
        answer = api.get("/v1/organizations", params=asked)
        assert answer.status_code == 200, answer.text
        names += [one["name"] for one in answer.json()["items"]]
        if answer.json()["next"] is None:
            return names
        asked["cursor"] = answer.json()["next"]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("fundasion esperansa", NAMES[0]),
        ("nines esperanza", NAMES[0]),
        ("VILAFLORES", NAMES[1]),
        ("asociasion vesinos", NAMES[1]),
        ("bilbioteca", NAMES[2]),
        ("viblioteca popular", NAMES[2]),
        ("jose marty", NAMES[2]),
        ("nandu deprotivo", NAMES[3]),
        ("resicladores", NAMES[4]),
        ("cooperatva progreso", NAMES[4]),
        ("restrpo ii sector", NAMES[5]),
        ("semiyas jubentud", NAMES[7]),
    ],
)
def test_typing_errors(api: TestClient, named: dict[str, str], typed: str, name: str) -> None:
    assert found(api, typed)[:1] == [name]


def test_what_is_written_right_comes_first(api: TestClient, named: dict[str, str]) -> None:
    create(api, named, name="Restrepa Unida")
    create(api, named, name="Fundación Restrepino")
    names = found(api, "restrep")
    assert set(names[:4]) == {NAMES[5], NAMES[6], "Restrepa Unida", "Fundación Restrepino"}
    names = found(api, "restrepo")
    assert names[:2] == [NAMES[6], NAMES[5]]
    assert {"Restrepa Unida", "Fundación Restrepino"} <= set(names[2:])
    # Whole words before beginnings.
    create(api, named, name="Alameda Floresta")
    assert found(api, "flores")[:2] == [NAMES[1], "Alameda Floresta"]
    # In another order only what is written so.
    assert found(api, "restrepo", sort="-name")[-2:] == [NAMES[5], NAMES[6]]
    assert "Fundación Restrepino" not in found(api, "restrepo", sort="-name")
    # What only resembles it is not on the page of what was found as it was written.
    first = api.get("/v1/organizations", params={"q": "restrepo"}).json()["items"]
    assert "Fundación Restrepino" not in str(first)
    assert NAMES[6] in str(first)
    for nothing in ("zzzzzz", "!!", "'", "x:*&|!(", "%_", "\\", "xq"):
        assert found(api, nothing) == [], nothing


def test_pages_walk_through_all_that_is_found_once(api: TestClient, named: dict[str, str]) -> None:
    right = [f"Zapato Azul {n:02d}" for n in range(7)]
    alike = [f"Sapato Azul {n:02d}" for n in range(7)]
    for name in [*right, *alike]:
        create(api, named, name=name)
    for limit in (1, 2, 3, 7, 50):
        walked: list[str] = []
        cursors: list[str | None] = []
        asked: dict[str, Any] = {"q": "zapato azul", "limit": limit}
        while True:
            page = api.get("/v1/organizations", params=asked).json()
            walked += [one["name"] for one in page["items"]]
            cursors.append(page["previous"])
            if page["next"] is None:
                break
            asked["cursor"] = page["next"]
        assert walked == right + alike, limit
        back: list[str] = []
        while cursors[-1] is not None:
            page = api.get("/v1/organizations", params=asked | {"cursor": cursors[-1]}).json()
            back = [one["name"] for one in page["items"]] + back
            cursors.append(page["previous"])
        # The last page was read already; back from it all the others come again, cut otherwise.
        assert back[:7] == right
        assert len(back) == len(set(back)) >= 14 - limit
    for wrong in ("~", "~x", "~>i:1", "~>s:a\x00~uuid:1"):
        assert api.get("/v1/organizations", params={"q": "ii", "cursor": wrong}).status_code == 422, wrong


def test_a_list_costs_the_same_few_statements(api: TestClient, named: dict[str, str]) -> None:
    seen: list[str] = []
    with tx() as session:
        engine = session.get_bind()
    sa.event.listen(engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    counts = []
    for _ in range(2):
        for n in range(25):
            made = create(
                api,
                named,
                name=f"Comedor {n}",
                contacts=[{"email": "c@example.org"}],
                identifiers=[{"scheme": "CO-PERSONERIA", "value": "Res. 1"}],
                latitude=4.6,
                longitude=-74.1,
            )
            say(api, named, made["id"], shown=["email"], point="blurred", evidence="Formulario")
        taken = []
        for asked in ({}, {"q": "comedor"}, {"q": "comedro"}, {"near": "-74.1,4.6"}):
            seen.clear()
            answer = api.get("/v1/organizations", params=asked | {"limit": 50})
            assert len(answer.json()["items"]) >= 25
            assert "c@example.org" in answer.text
            taken.append(len([one for one in seen if one.startswith(("SELECT", "WITH"))]))
        counts.append(taken)
    assert counts == [[4, 4, 7, 4], [4, 4, 7, 4]]


def test_near_and_in_order(api: TestClient, named: dict[str, str]) -> None:
    for n, latitude in enumerate((4.600, 4.601, 4.605, 4.7)):
        made = create(api, named, name=f"Punto {n}", latitude=latitude, longitude=-74.1)
        say(api, named, made["id"], point="exact", evidence="Formulario")

    def names(**asked: Any) -> list[str]:
        return [one["name"] for one in api.get("/v1/organizations", params=asked).json()["items"]]

    assert names(near="-74.1,4.6021") == ["Punto 1", "Punto 0", "Punto 2"]
    assert names(near="-74.1,4.6", radius=300) == ["Punto 0", "Punto 1"]
    assert names(near="-74.1,4.6", sort="-name") == ["Punto 2", "Punto 1", "Punto 0"]
    assert names(near="-74.1,4.6", q="punto", sort="distance", limit=1) == ["Punto 0"]
    for wrong in ("1", "a,b", "nan,1", "200,1", "1,1e999"):
        assert api.get("/v1/organizations", params={"near": wrong}).status_code == 422
    assert api.get("/v1/organizations", params={"sort": "distance"}).status_code == 422
