"""The register over HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_registry import service
from tejido_registry.app import create_app
from tejido_registry.db import tx
from tejido_registry.models import Contact, Organization, Territory
from tejido_registry.procedure import service as procedure
from tejido_registry.schemas import OrganizationIn
from tejido_registry.settings import jurisdiction, settings
from tejido_shared import seam
from tejido_shared.db import Database
from tejido_shared.jurisdiction import parse_receipt_number
from tejido_shared.refusals import Refused
from tejido_shared.testing import Issuer

BODY = {"name": "Junta de Acción Comunal La Peña", "organization_type": "community_action_board"}
NIT = {"scheme": "CO-NIT", "value": "900.123.456", "check_digit": "8"}


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


def _create(api: TestClient, registrar: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = api.post("/v1/organizations", json=BODY | body, headers=registrar)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _events() -> list[dict[str, Any]]:
    with tx() as session:
        return list(
            session.scalars(
                sa.select(seam.outbox.c.envelope)
                .where(seam.outbox.c.subscriber == "projects")
                .order_by(seam.outbox.c.id)
            )
        )


def _codes(answer: Any) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


def test_the_registrar_enters_an_organization(api: TestClient, registrar: dict[str, str]) -> None:
    contact = {"name": "Ana Niño", "post": "Presidenta", "email": "jac@example.org", "phone": "601 555 0100"}
    made = _create(
        api, registrar, identifiers=[NIT], contacts=[contact], latitude=4.6, longitude=-74.1, territory="Suba"
    )
    assert parse_receipt_number(settings().number_pattern, made["number"]).sequence == 1
    assert made["registration_status"] == "registered"
    assert made["identifiers"] == [{"scheme": "CO-NIT", "value": "900123456", "check_digit": "8"}]
    assert made["contacts"][0]["phone"] == "+576015550100"
    [event] = _events()
    assert (event["type"], event["subject_version"]) == ("registry.organization_changed", 1)
    said = {
        "organization_id": made["id"],
        "number": made["number"],
        "name": BODY["name"],
        "organization_type": "community_action_board",
        "status": "registered",
        "territory": "suba",
        "themes": [],
        "legal_status": None,
        "mandate_status": "unknown",
        "freshness": "never",
    }
    assert said.items() <= event["data"].items()
    assert "jac@" not in str(event)
    with tx() as session:
        stored = session.execute(sa.select(sa.type_coerce(Contact.email, sa.LargeBinary))).scalar_one()
    assert b"jac@" not in stored


def test_the_public_sees_no_contacts(api: TestClient, registrar: dict[str, str], issuer: Issuer) -> None:
    made = _create(api, registrar, contacts=[{"email": "jac@example.org"}])
    path = f"/v1/organizations/{made['id']}"
    public = api.get(path)
    assert public.json()["contacts"] is None
    assert public.headers["ETag"] == '"1"'
    assert "example.org" not in api.get("/v1/organizations").text
    insiders = ["funcionario:atencion-ciudadania", "auditoria", "administracion", f"representante:{made['id']}"]
    for group in insiders:
        assert api.get(path, headers=issuer.headers(group)).json()["contacts"][0]["email"] == "jac@example.org", group
    outsiders = ["ciudadania", f"representante:{uuid4()}"]
    for group in outsiders:
        assert api.get(path, headers=issuer.headers(group)).json()["contacts"] is None, group


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"organization_type": "club"}, "organization_type", "unknown_organization_type"),
        ({"identifiers": [NIT | {"check_digit": "7"}]}, "identifiers.0.check_digit", "check_digit_wrong"),
        ({"identifiers": [NIT | {"check_digit": None}]}, "identifiers.0.check_digit", "check_digit_missing"),
        ({"identifiers": [NIT | {"value": "12"}]}, "identifiers.0.value", "identifier_pattern"),
        ({"identifiers": [{"scheme": "AR-CUIT", "value": "1"}]}, "identifiers.0.scheme", "unknown_scheme"),
        ({"identifiers": [NIT, NIT]}, "identifiers", "identifier_repeated"),
        ({"contacts": [{"phone": "12"}]}, "contacts.0.phone", "phone"),
        ({"contacts": [{"name": "Ana"}]}, "contacts.0", "contact_empty"),
        ({"contacts": [{"email": "ana"}]}, "contacts.0.email", "value_error"),
        ({"latitude": 4.5}, "longitude", "point_incomplete"),
        ({"branches": [{"name": "Sede", "latitude": 4.5}]}, "branches.0.longitude", "point_incomplete"),
        ({"branches": [{"name": "Sede", "area": "Palermo"}]}, "branches.0.area", "unknown_area"),
        ({"area": "Palermo"}, "area", "unknown_area"),
        ({"themes": ["food", "x"]}, "themes.1", "unknown_theme"),
        ({"populations": ["x"]}, "populations.0", "unknown_population"),
        ({"founded_on": "2999-01-01"}, "founded_on", "day_in_future"),
        ({"website": "javascript:alert(1)"}, "website", "string_pattern_mismatch"),
        ({"registration_status": "submitted"}, "registration_status", "literal_error"),
        ({"latitude": 91, "longitude": 0}, "latitude", "less_than_equal"),
        ({"name": "a\x00b"}, "name", "string_pattern_mismatch"),
        ({"name": "  "}, "name", "string_too_short"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    api: TestClient, registrar: dict[str, str], body: dict[str, Any], field: str, code: str
) -> None:
    answer = api.post("/v1/organizations", json=BODY | body, headers=registrar)
    assert answer.status_code == 422
    assert _codes(answer) == {f"body.{field}": code}
    assert not _events()


def test_a_number_that_only_one_may_have(api: TestClient, registrar: dict[str, str]) -> None:
    _create(api, registrar, identifiers=[NIT])
    answer = api.post("/v1/organizations", json=BODY | {"identifiers": [NIT]}, headers=registrar)
    assert (answer.status_code, _codes(answer)) == (422, {"body.identifiers.0.value": "identifier_taken"})
    many = {"scheme": "CO-PERSONERIA", "value": "Resolución 12 de 1998"}
    _create(api, registrar, identifiers=[many])
    _create(api, registrar, identifiers=[many])


def test_an_idempotency_key(api: TestClient, registrar: dict[str, str]) -> None:
    keyed = registrar | {"Idempotency-Key": "alta-1"}
    first = api.post("/v1/organizations", json=BODY, headers=keyed)
    again = api.post("/v1/organizations", json=BODY, headers=keyed)
    other = api.post("/v1/organizations", json=BODY | {"name": "Otra"}, headers=keyed)
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert again.json() == first.json()
    assert len(_events()) == 1


def test_changes_need_the_version_that_was_read(api: TestClient, registrar: dict[str, str]) -> None:
    path = f"/v1/organizations/{_create(api, registrar, identifiers=[NIT])['id']}"
    assert api.patch(path, json={"name": "Nueva"}, headers=registrar).status_code == 428
    changed = api.patch(path, json={"name": "Nueva"}, headers=registrar | {"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert api.patch(path, json={"name": "Vieja"}, headers=registrar | {"If-Match": '"1"'}).status_code == 412
    # A change of children alone is a new version too, and nobody else need hear of it.
    more = [NIT, {"scheme": "BOG-IDPAC", "value": "jac-7"}]
    changed = api.patch(path, json={"identifiers": more}, headers=registrar | {"If-Match": '"2"'})
    assert changed.headers["ETag"] == '"3"'
    assert [one["value"] for one in changed.json()["identifiers"]] == ["JAC-7", "900123456"]
    same = api.patch(path, json={"identifiers": more, "name": "Nueva"}, headers=registrar | {"If-Match": '"3"'})
    assert same.headers["ETag"] == '"3"'
    assert [(event["subject_version"], event["data"]["name"]) for event in _events()] == [
        (1, BODY["name"]),
        (2, "Nueva"),
    ]
    assert api.patch(path, json={"name": None}, headers=registrar | {"If-Match": "*"}).status_code == 422
    half = api.patch(path, json={"latitude": 4.5}, headers=registrar | {"If-Match": "*"})
    assert _codes(half) == {"body.longitude": "point_incomplete"}


def test_a_representative_changes_the_contacts_of_their_own(
    api: TestClient, registrar: dict[str, str], issuer: Issuer
) -> None:
    mine, other = _create(api, registrar), _create(api, registrar)
    representative = issuer.headers(f"representante:{mine['id']}", sub="vecina-1") | {"If-Match": "*"}
    contacts = {"contacts": [{"email": "nueva@example.org"}]}
    changed = api.patch(f"/v1/organizations/{mine['id']}", json=contacts, headers=representative)
    assert changed.json()["contacts"][0]["email"] == "nueva@example.org"
    for path, body, code in (
        (other["id"], contacts, "not_acting_for_it"),
        (mine["id"], {"name": "Mía"}, "only_own_contacts"),
        (mine["id"], contacts | {"name": "Mía"}, "only_own_contacts"),
    ):
        refused = api.patch(f"/v1/organizations/{path}", json=body, headers=representative)
        assert (refused.status_code, refused.json()["type"]) == (403, f"urn:tejido:problem:{code}")
    assert api.patch(f"/v1/organizations/{uuid4()}", json=contacts, headers=representative).status_code == 404
    history = api.get(f"/v1/organizations/{mine['id']}/history", headers=registrar).json()["items"]
    assert [(entry["kind"], entry["author"]) for entry in history] == [
        ("created", "registradora-1"),
        ("changed", "vecina-1"),
    ]
    assert "nueva@" not in str(history)


def test_registration_status_moves_by_acts(api: TestClient, registrar: dict[str, str], issuer: Issuer) -> None:
    contact = {"email": "jac@example.org"}
    made = _create(api, registrar, registration_status="draft", territory="Suba", contacts=[contact])
    path = f"/v1/organizations/{made['id']}"
    assert api.get(path).status_code == 404  # a draft is not published
    assert api.get(path, headers=issuer.headers(f"representante:{made['id']}")).status_code == 200
    reason = "Padrón de 2019"
    refused = api.post(f"{path}/registration-status", json={"status": "suspended", "reason": reason}, headers=registrar)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tejido:problem:transition")
    moved = api.post(f"{path}/registration-status", json={"status": "registered", "reason": reason}, headers=registrar)
    assert moved.json()["registration_status"] == "registered"
    authority = issuer.headers("autoridad-registro", sub="autoridad-1")
    today = service.today()
    act = {"number": "Resolución 7", "day": str(today)}
    body = {"kind": "suspend", "reasons": "Sin elecciones en el término", "act": act, "until": str(today)}
    assert api.post(f"{path}/acts", json=body, headers=registrar).status_code == 409  # the authority's
    assert api.post(f"{path}/acts", json=body, headers=authority).json()["registration_status"] == "suspended"
    statuses = [event["data"]["status"] for event in _events()]
    assert list(dict.fromkeys(statuses)) == ["draft", "registered", "suspended"]
    versions = [event["subject_version"] for event in _events()]
    assert versions == sorted(versions)
    last = api.get(f"{path}/history", params={"sort": "-at"}, headers=registrar).json()["items"][0]
    assert (last["reason"], last["what"]) == (body["reasons"], "Cambió de estado: de inscripta a suspendida")
    assert (last["details"]["act"], last["details"]["until"]) == ("Resolución 7", str(today))


def test_what_an_organization_says_of_itself(
    api: TestClient, registrar: dict[str, str], issuer: Issuer, databases: dict[str, Database]
) -> None:
    said = {
        "legal_status": "in_process",
        "purpose": "Apoyo escolar",
        "founded_on": "1998-05-03",
        "website": "https://pena.example.org/",
        "themes": ["education", "food"],
        "populations": ["children"],
        "neighborhood": "La Peña",
        "other_names": ["Comité La Peña"],
    }
    branch = {"name": "Sede norte", "area": "USAQUEN", "address": "Calle 1", "latitude": 4.7, "longitude": -74.03}
    made = _create(api, registrar, area="Ciudad Bolivar", branches=[branch], **said)
    assert said.items() <= made.items()
    assert (made["area"], made["captured_by"], made["on_behalf"]) == ("ciudad-bolivar", "registradora-1", True)
    assert [(one["name"], one["area"]) for one in made["branches"]] == [("Sede norte", "usaquen")]
    axes = ("registration_status", "legal_status", "mandate_status", "freshness", "mandate_until", "verified_on")
    assert [made[name] for name in axes] == ["registered", "in_process", "unknown", "never", None, None]
    path = f"/v1/organizations/{made['id']}"
    change = {"branches": [branch | {"name": "Sede sur"}, branch], "themes": ["food"], "legal_status": "incorporated"}
    changed = api.patch(path, json=change, headers=registrar | {"If-Match": '"1"'})
    assert [one["name"] for one in changed.json()["branches"]] == ["Sede sur", "Sede norte"]
    assert _events()[-1]["data"]["legal_status"] == "incorporated"
    same = api.patch(path, json=change, headers=registrar | {"If-Match": "*"})
    assert same.headers["ETag"] == changed.headers["ETag"]
    _create(api, registrar, name="Otra", territory="Suba")
    for query in (
        {"legal_status": "incorporated"},
        {"theme": "food"},
        {"population": "children"},
        {"area": "ciudad-bolivar"},
        {"neighborhood": "la pena"},
    ):
        found = api.get("/v1/organizations", params=query, headers=registrar).json()["items"]
        assert [one["id"] for one in found] == [made["id"]], query
    for query in ({"mandate_status": "unknown"}, {"freshness": "never"}, {"registration_status": "registered"}):
        assert len(api.get("/v1/organizations", params=query, headers=registrar).json()["items"]) == 2, query
    # Territory as people say it names the area, too.
    assert api.get("/v1/organizations", params={"area": "suba"}).json()["items"][0]["name"] == "Otra"


def test_informal_groups_are_refused_only_where_the_pack_says_so(
    api: TestClient, registrar: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = {"email": "grupo@example.org"}
    informal = _create(
        api, registrar, legal_status="de_facto", identifiers=[], registration_status="draft", contacts=[contact]
    )
    pack = jurisdiction()
    policy = pack.registration.policy.model_copy(update={"admits_without_legal_personality": False})
    strict = pack.model_copy(update={"registration": pack.registration.model_copy(update={"policy": policy})})
    for module in (service, procedure):
        monkeypatch.setattr(module, "jurisdiction", lambda: strict)
    refused = api.post("/v1/organizations", json=BODY | {"legal_status": "de_facto"}, headers=registrar)
    assert _codes(refused) == {"body.legal_status": "legal_personality_needed"}
    _create(api, registrar, legal_status="incorporated")
    _create(api, registrar)  # of an older register, which did not say
    path = f"/v1/organizations/{informal['id']}"
    change = {"legal_status": None, "territory": "Suba"}
    assert api.patch(path, json=change, headers=registrar | {"If-Match": "*"}).status_code == 200
    filed = api.post(f"{path}/applications", json={"kind": "registration", "consent": True}, headers=registrar)
    assert (filed.status_code, "Situación jurídica" in filed.json()["detail"]) == (409, True)


def _square(west: float, south: float, side: float = 0.1) -> dict[str, Any]:
    east, north = west + side, south + side
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_where_the_point_and_what_was_typed_disagree(api: TestClient, registrar: dict[str, str]) -> None:
    with tx() as session:
        session.add(Territory(kind="area", code="suba", name="Suba", shape=_square(-74.1, 4.7)))
        session.add(Territory(kind="area", code="usaquen", name="Usaquén", shape=_square(-74.0, 4.7)))
    in_suba = {"latitude": 4.75, "longitude": -74.05}
    found = _create(api, registrar, **in_suba)
    assert (found["area"], found["area_found"], found["warnings"]) == ("suba", "suba", [])
    typed = _create(api, registrar, territory="Usaquén", **in_suba)
    assert (typed["area"], typed["area_found"], typed["territory"]) == ("usaquen", "suba", "Usaquén")
    [warning] = typed["warnings"]
    assert (warning["field"], warning["code"]) == ("area", "area_disagrees")
    assert warning["reason"] == "Se escribió Usaquén, y el punto está en Suba."
    path = f"/v1/organizations/{typed['id']}"
    assert "area_disagrees" not in api.get(path).text  # for officials
    moved = api.patch(path, json={"longitude": -73.95}, headers=registrar | {"If-Match": "*"}).json()
    assert (moved["area"], moved["area_found"], moved["warnings"]) == ("usaquen", "usaquen", [])


def test_search_without_accents(api: TestClient, registrar: dict[str, str]) -> None:
    names = ["Fundación Niño Feliz", "Peña Folclórica El Ñandú", "Bib.Pop. José Martí", "Vecinos II Sector"]
    made = {name: _create(api, registrar, name=name) for name in names}
    _create(api, registrar, name="Corporación", other_names=["Hogar de la Niñez"], identifiers=[NIT])

    def found(q: str, **more: str) -> list[str]:
        answer = api.get("/v1/organizations", params={"q": q} | more)
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json()["items"]]

    assert found("nino")[0] == found("NIÑO")[0] == found("niños")[0] == names[0]
    assert found("ninez")[0] == "Corporación"
    assert found("pena nandu") == [names[1]]
    assert found("pop") == found("jose marti") == found("Mart") == [names[2]]
    assert found("ii sector") == [names[3]]
    assert found("900123456") == found("900.123.456-8") == ["Corporación"]
    assert found(made[names[0]]["number"].lower()) == [names[0]]
    assert found("!!") == found("nada") == found("'") == found("a:*&|!(") == []


def test_filters_order_and_pages(api: TestClient, registrar: dict[str, str]) -> None:
    for name, territory, point in (
        ("Álamos", "Usaquén", (4.7, -74.03)),
        ("bosque", "Suba", (4.75, -74.08)),
        ("Árbol", "Suba", (0.1, 0.1)),
        ("Zorzal", "Suba", (None, None)),
    ):
        _create(api, registrar, name=name, territory=territory, latitude=point[0], longitude=point[1])
    _create(api, registrar, name="Coop", organization_type="cooperative")

    def names(**query: Any) -> list[str]:
        return [item["name"] for item in api.get("/v1/organizations", params=query).json()["items"]]

    assert names() == ["Álamos", "Árbol", "bosque", "Coop", "Zorzal"]
    assert names(sort="-name", limit=2) == ["Zorzal", "Coop"]
    assert names(sort="registered_at", territory="SUBA") == ["bosque", "Árbol", "Zorzal"]
    assert names(organization_type="cooperative") == ["Coop"]
    assert names(bbox="-74.2,4.4,-73.9,4.9", territory="usaquen") == []  # none shows its point to everybody
    officials = api.get("/v1/organizations", params={"bbox": "-74.2,4.4,-73.9,4.9"}, headers=registrar).json()["items"]
    assert [item["name"] for item in officials] == ["Álamos", "bosque"]
    walked, cursor = [], None
    while True:
        page = api.get("/v1/organizations", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        walked += [item["name"] for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert walked == ["Álamos", "Árbol", "bosque", "Coop", "Zorzal"]
    for bbox in ("1,2,3", "a,b,c,d", "nan,0,1,1", "10,0,-10,1", "0,0,0,1e999"):
        assert _codes(api.get("/v1/organizations", params={"bbox": bbox})) == {"query.bbox": "bbox"}


def test_a_long_list_costs_the_same_few_statements(api: TestClient, registrar: dict[str, str]) -> None:
    seen: list[str] = []
    with tx() as session:
        engine = session.get_bind()
    sa.event.listen(engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    counts = []
    for _ in range(2):
        for _ in range(5):
            _create(api, registrar, identifiers=[{"scheme": "CO-PERSONERIA", "value": "Res. 1"}])
        seen.clear()
        assert api.get("/v1/organizations").status_code == 200
        counts.append(len([statement for statement in seen if statement.startswith("SELECT")]))
    assert counts == [4, 4]


PATH = "/v1/organizations/0198f0c0-0000-7000-8000-000000000009"
REGISTRAR_ONLY = [
    ("POST", "/v1/organizations", {"json": BODY | {"registration_status": "registered"}}),
    ("POST", "/v1/imports", {"files": {"file": b"a"}, "data": {"mapping": "{}", "source": "x"}}),
]


@pytest.mark.parametrize(("method", "path", "content"), REGISTRAR_ONLY)
def test_what_only_the_registrar_may_do(
    api: TestClient, issuer: Issuer, method: str, path: str, content: dict[str, Any]
) -> None:
    assert api.request(method, path, **content).status_code == 401
    groups = [["ciudadania"], ["funcionario:atencion-ciudadania"], [f"representante:{uuid4()}"], ["auditoria"]]
    for group in groups:
        assert api.request(method, path, **content, headers=issuer.headers(*group)).status_code == 403, group
    machine = issuer.token(sub="tejido-machine", client_id="tejido-machine")
    for headers in (issuer.headers("administracion"), {"Authorization": f"Bearer {machine}"}):
        assert api.request(method, path, **content, headers=headers).status_code not in (401, 403)


def test_who_reads_the_history_and_who_changes(api: TestClient, registrar: dict[str, str], issuer: Issuer) -> None:
    path = f"/v1/organizations/{_create(api, registrar, legal_status='incorporated')['id']}"
    for method, where, content, wrong in (
        ("GET", f"{path}/history", {}, ["ciudadania", "evaluacion"]),
        (
            "PATCH",
            path,
            {"json": {}},
            ["ciudadania", "funcionario:atencion-ciudadania", "auditoria", "autoridad-registro"],
        ),
        ("POST", f"{path}/registration-status", {"json": {"status": "suspended"}}, ["ciudadania", "auditoria"]),
        ("POST", f"{path}/acts", {"json": {"kind": "suspend"}}, ["ciudadania", "funcionario:atencion-ciudadania"]),
    ):
        assert api.request(method, where, **content).status_code == 401
        for group in wrong:
            answer = api.request(method, where, **content, headers=issuer.headers(group))
            assert answer.status_code == 403, (group, answer.text)
    assert api.get(f"{PATH}/history", headers=issuer.headers("auditoria")).status_code == 404
    types = api.get("/v1/organization-types").json()
    assert {"community_action_board", "cooperative"} <= {kind["code"] for kind in types}


def test_numbers_are_consecutive_whatever_fails(databases: dict[str, Database]) -> None:
    def enter(turn: int) -> str | None:
        try:
            with tx() as session:
                values = dict(OrganizationIn(**BODY | {"name": f"Junta {turn}"}))
                number = service.create(session, values, "registradora-1").number
                if turn % 3 == 0:
                    raise LookupError  # whatever: the transaction is rolled back
                return number
        except LookupError:
            return None

    with ThreadPoolExecutor(8) as pool:
        numbers = [number for number in pool.map(enter, range(48)) if number]
    sequences = sorted(parse_receipt_number(settings().number_pattern, number).sequence for number in numbers)
    assert sequences == list(range(1, 33))
    assert len(_events()) == 32


def test_two_at_once_take_one_number(databases: dict[str, Database]) -> None:
    def enter(_: int) -> bool:
        try:
            with tx() as session:
                service.create(session, dict(OrganizationIn(**BODY | {"identifiers": [NIT]})), "registradora-1")
            return True
        except Refused:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(enter, range(16))) == 1
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Organization)) == 1


def test_odd_input_is_never_our_error(api: TestClient, registrar: dict[str, str]) -> None:
    queries = [
        {"cursor": "x"},
        {"cursor": ">i:1"},
        {"cursor": ">s:a~s:b"},
        {"cursor": ">s:a\x00~uuid:" + str(uuid4())},
        {"limit": "9" * 40},
        {"q": "\x00"},
        {"q": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")},
        {"q": "9" * 200},
        {"territory": "\x00"},
        {"extra": "1"},
    ]
    for query in queries:
        assert api.get("/v1/organizations", params=query).status_code in (200, 422), query
    bodies = [b'{"name": "\\ud800", "organization_type": "x"}', b'{"name": 1e999}', b"[]", b"\xff", b"[" * 5000]
    for body in bodies:
        answer = api.post("/v1/organizations", content=body, headers=registrar | {"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), body
    big = BODY | {"latitude": 10**400, "longitude": 0}
    assert api.post("/v1/organizations", json=big, headers=registrar).status_code == 422
