"""The directory as HSDS 3.0, against the published schemas."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema_rs
import pytest
from fastapi.testclient import TestClient

from tejido_registry.app import create_app
from tejido_shared.db import Database
from tejido_shared.testing import Issuer, wait_until

from .test_directory import create, say

EVERYTHING = ["description", "purpose", "address", "phone", "email", "website", "contact_name"]


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


def validator(handouts: Path, name: str) -> Any:
    schema = json.loads((handouts / "data" / "schemas" / "hsds" / f"{name}.json").read_text())
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def test_it_validates(api: TestClient, registrar: dict[str, str], handouts: Path) -> None:
    bare = create(api, registrar, name="Sin nada más", area=None)
    full = create(
        api,
        registrar,
        name="Fundación Ñandú",
        public_name="Ñandú",
        organization_type="foundation",
        identifiers=[{"scheme": "CO-NIT", "value": "900123456", "check_digit": "8"}],
        purpose="Cuidar",
        address="Calle 1 # 2-3",
        website="https://peña.example.org/ñ?a=1",
        contacts=[{"name": "Ana", "email": "ana@example.org", "phone": "601 555 0100"}],
        themes=["culture", "environment"],
        populations=["children", "neighbours"],
        latitude=4.6,
        longitude=-74.1,
    )
    odd = create(api, registrar, name="Rara", contacts=[{"email": "ñandú@example.org"}], website="http://[x")
    say(api, registrar, full["id"], shown=EVERYTHING, description="Talleres", point="blurred", evidence="Formulario")
    say(api, registrar, odd["id"], shown=EVERYTHING, point="exact", evidence="Formulario")

    organizations, services = validator(handouts, "organization"), validator(handouts, "service")
    page = api.get("/v1/hsds/organizations").json()
    for one in page["contents"]:
        organizations.validate(one)
        assert api.get(f"/v1/hsds/organizations/{one['id']}").json() == one
    validator(handouts, "organization_package").validate(page["contents"])
    by_name = {one["name"]: one for one in page["contents"]}
    whole = by_name["Fundación Ñandú"]
    assert whole["id"] == full["id"]
    assert whole["description"] == "Talleres"
    assert whole["website"] == "https://xn--pea-8ma.example.org/%C3%B1?a=1"
    assert whole["phones"][0]["number"] == "+576015550100"
    assert whole["locations"][0]["addresses"][0]["address_1"] == "Calle 1 # 2-3"
    assert {one["identifier"] for one in whole["organization_identifiers"]} == {"900123456", full["number"]}
    assert [one["name"] for one in whole["services"]] == ["Cultura", "Ambiente"]
    assert [one["taxonomy_term"]["code"] for one in whole["attributes"]] == ["children", "neighbours"]
    assert bare["number"] in by_name["Sin nada más"]["description"]
    assert not {"email", "phones", "locations", "contacts", "website"} & by_name["Sin nada más"].keys()
    assert not {"email", "website"} & by_name["Rara"].keys(), "HSDS has no such address"

    found = api.get("/v1/hsds/services").json()["contents"]
    assert len(found) == 2
    for one in found:
        services.validate(one)
        assert one["organization"]["id"] == one["organization_id"] == full["id"]
        assert one["service_at_locations"][0]["location_id"] == whole["locations"][0]["id"]
    assert {one["id"] for one in found} == {one["id"] for one in whole["services"]}


def test_pages_hold_each_once_and_keys_stay(api: TestClient, registrar: dict[str, str]) -> None:
    made = {create(api, registrar, name=f"Org {n}", themes=["culture", "work"])["id"] for n in range(7)}
    create(api, registrar, name="Borrador", registration_status="draft", themes=["culture"])

    def walk(address: str, **asked: Any) -> list[dict[str, Any]]:
        contents: list[dict[str, Any]] = []
        number = 1
        while True:
            page = api.get(address, params={"page": number, "per_page": 3} | asked).json()
            assert page["size"] == len(page["contents"])
            assert page["first_page"] == (number == 1)
            contents += page["contents"]
            if page["last_page"]:
                assert page["total_items"] == len(contents)
                return contents
            number += 1

    organizations = walk("/v1/hsds/organizations")
    assert [one["id"] for one in organizations] == sorted(made)
    services = walk("/v1/hsds/services")
    assert len({UUID(one["id"]) for one in services}) == 14
    assert walk("/v1/hsds/services") == services
    one = min(made)
    assert len(walk("/v1/hsds/services", organization_id=one)) == 2
    empty = api.get("/v1/hsds/organizations", params={"page": 9}).json()
    assert (empty["empty"], empty["contents"]) == (True, [])
    # The feed waits for what tests beside these write in other databases of the server.
    wait_until(lambda: len(api.get("/v1/changes").json()["items"]) == len(made), 60, "the changes")
    instant = api.get("/v1/changes").json()["items"][-1]["at"]
    assert walk("/v1/hsds/organizations", modified_after=instant) == []
    for wrong in ({"page": 0}, {"per_page": 1000}, {"modified_after": "2026-01-01"}, {"x": 1}):
        assert api.get("/v1/hsds/organizations", params=wrong).status_code == 422

    answer = api.get("/v1/hsds/organizations")
    again = api.get("/v1/hsds/organizations", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    say(api, registrar, one, description="Nuevo", shown=["description"], evidence="Formulario")
    changed = api.get("/v1/hsds/organizations", headers={"If-None-Match": answer.headers["ETag"]})
    assert changed.status_code == 200
    assert api.get("/v1/hsds").json()["version"] == "3.0"
