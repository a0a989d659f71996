"""What everybody sees of an organization: nothing but what a register shows of all, and what each consents to."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pypdfium2  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from tejido_registry.app import create_app
from tejido_registry.db import tx
from tejido_registry.directory import exports
from tejido_registry.models import HistoryEntry, Mandate, Organization, Person
from tejido_registry.settings import jurisdiction
from tejido_registry.standing.service import today
from tejido_shared.api import PUBLIC_PATHS
from tejido_shared.auth import guards_of
from tejido_shared.clock import now
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.testing import Issuer, wait_until

LATITUDE, LONGITUDE = 4.6123457, -74.1234569
BODY = {"name": "Junta de Acción Comunal La Peña", "organization_type": "community_action_board", "area": "suba"}
CONSENTED = {
    "description": "describimos-secreto",
    "purpose": "objeto-secreto",
    "address": "Calle Secreta 9-99",
    "phone": "+576015550177",
    "email": "secreta@example.org",
    "website": "https://secreta.example.org",
    "contact_name": "Ana Secreta",
}
"""What shows of each field that needs a consent."""
NEVER = {
    "post": "Presidenta-secreta",
    "second contact": "otra.secreta@example.org",
    "neighborhood": "Barrio Secreto",
    "founded": "1987-03-21",
    "branch": "Sede Secreta",
    "branch address": "Carrera Secreta 1",
    "member of the board": "Berta Oculta",
    "draft": "Borrador Oculto",
    "suspended": "Suspendida Oculta",
}
"""What never shows."""
EXACT = {"latitude": str(LATITUDE)[:-1], "longitude": str(LONGITUDE)[:-1]}


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


def create(api: TestClient, registrar: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = api.post("/v1/organizations", json=BODY | body, headers=registrar)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def say(api: TestClient, headers: dict[str, str], key: str, **said: Any) -> Any:
    """Puts a profile over whatever is there."""
    body = {"shown": []} | said
    return api.put(f"/v1/organizations/{key}/profile", json=body, headers=headers | {"If-Match": "*"})


def unlist(key: str, **also: Any) -> None:
    with tx() as session:
        standing = {"be_listed": ["registration_suspended"]}
        session.execute(sa.update(Organization).where(Organization.id == UUID(key)).values(standing=standing, **also))


@pytest.fixture
def planted(api: TestClient, registrar: dict[str, str]) -> dict[str, str]:
    """An organization of which everything that can be said is said, with its certificate; a draft, and one that is suspended."""
    made = create(
        api,
        registrar,
        purpose=CONSENTED["purpose"],
        address=CONSENTED["address"],
        website=CONSENTED["website"],
        neighborhood=NEVER["neighborhood"],
        founded_on=NEVER["founded"],
        legal_status="incorporated",
        latitude=LATITUDE,
        longitude=LONGITUDE,
        themes=["culture"],
        contacts=[
            {
                "name": CONSENTED["contact_name"],
                "post": NEVER["post"],
                "email": CONSENTED["email"],
                "phone": CONSENTED["phone"],
            },
            {"email": NEVER["second contact"]},
        ],
        branches=[{"name": NEVER["branch"], "address": NEVER["branch address"]}],
    )
    with tx() as session:
        person = Person(name=NEVER["member of the board"])
        session.add(person)
        session.flush()
        office = {"organ": "direction", "post": "Presidencia", "signs": True, "recorded_at": now()}
        day = today()
        session.add(
            Mandate(organization_id=UUID(made["id"]), person_id=person.id, starts_on=day, ends_on=day, **office)
        )
    create(api, registrar, name=NEVER["draft"], registration_status="draft", latitude=LATITUDE, longitude=LONGITUDE)
    unlist(create(api, registrar, name=NEVER["suspended"])["id"], registration_status="suspended")
    issued = api.post(f"/v1/organizations/{made['id']}/certificates", headers=registrar)
    assert issued.status_code == 201, issued.text
    return {"organization_id": made["id"], "code": issued.json()["code"]}


def public_addresses(api: TestClient, values: dict[str, str]) -> list[str]:
    """Every GET that anybody may call, with its path's keys filled in: a new one is walked too, or fails for want of its key."""
    found = []
    for route in iter_route_contexts(api.app.routes):  # type: ignore[attr-defined]
        path = route.path or ""
        if path in PUBLIC_PATHS or not isinstance(route.original_route, APIRoute):
            continue
        if "GET" in (route.original_route.methods or ()) and "public" in guards_of(route.original_route.dependant):
            found.append(re.sub(r"{(\w+)(:path)?}", lambda match: values[match[1]], path))
    return found


def everything_public(api: TestClient, issuer: Issuer, values: dict[str, str]) -> dict[str, str]:
    """What strangers are told, by address and who asks."""
    strangers = {
        "nobody": {},
        "a citizen": issuer.headers("ciudadania", sub="vecino-9"),
        "another organization": issuer.headers(f"representante:{uuid4()}", sub="vecina-9"),
    }
    words = [*CONSENTED.values(), *NEVER.values(), "oculto", "secreta", "Ana"]
    asked = [f"/v1/organizations?q={word}" for word in words]
    asked += [f"/v1/organizations?near={LONGITUDE},{LATITUDE}&radius=50000", "/v1/organizations?sort=-registered_at"]
    asked += [f"/v1/directory.csv?q={word}" for word in ("oculto", "secreta")]
    told = {}
    for address in public_addresses(api, values) + asked:
        for who, headers in strangers.items():
            answer = api.get(address, headers=headers, follow_redirects=False)
            assert answer.status_code in (200, 404), (address, answer.text)
            if answer.headers["content-type"] == "application/pdf":
                pages = pypdfium2.PdfDocument(answer.content)
                told[address, who] = "\n".join(page.get_textpage().get_text_range() for page in pages)
            else:
                told[address, who] = answer.text
    return {f"{address} ({who})": text for (address, who), text in told.items()}


def leaks(told: dict[str, str], secrets: dict[str, str]) -> list[tuple[str, str]]:
    return [
        (name, where)
        for where, text in told.items()
        for name, secret in secrets.items()
        # What was asked for may be repeated where it is wrong; nothing here is.
        if secret.casefold() in text.casefold()
    ]


def test_without_consent_nothing_of_it_appears_anywhere(
    api: TestClient, issuer: Issuer, registrar: dict[str, str], planted: dict[str, str]
) -> None:
    addresses = public_addresses(api, planted)
    for expected in ("/v1/directory.geojson", "/v1/directory.csv", "/v1/changes", "/v1/hsds/organizations"):
        assert expected in addresses
    told = everything_public(api, issuer, planted)
    assert leaks(told, CONSENTED | NEVER | EXACT) == []
    assert BODY["name"] in told["/v1/directory.csv (nobody)"]
    whole = api.get(f"/v1/organizations/{planted['organization_id']}", headers=registrar).text
    assert leaks({"official": whole}, {"email": CONSENTED["email"]} | EXACT), "the secrets were never there"


def test_each_consent_shows_its_field_and_no_other(
    api: TestClient, issuer: Issuer, registrar: dict[str, str], planted: dict[str, str]
) -> None:
    key = planted["organization_id"]
    mine = issuer.headers(f"representante:{key}", sub="vecina-1")
    for field, secret in CONSENTED.items():
        said = say(api, mine, key, shown=[field], description=CONSENTED["description"])
        assert said.status_code == 200, said.text
        told = everything_public(api, issuer, planted)
        others = {name: value for name, value in CONSENTED.items() if name != field}
        # An e-mail is of the same domain as the website: what tells them apart is before it.
        assert leaks(told, others | NEVER | EXACT) == [], field
        for where in ("/v1/organizations", f"/v1/organizations/{key}", "/v1/directory.csv", "/v1/hsds/organizations"):
            assert secret in told[f"{where} (nobody)"], (field, where)
    assert say(api, mine, key, description=CONSENTED["description"]).status_code == 200
    assert leaks(everything_public(api, issuer, planted), CONSENTED | NEVER | EXACT) == []


def test_an_exact_point_only_if_they_want_it(
    api: TestClient, issuer: Issuer, registrar: dict[str, str], planted: dict[str, str]
) -> None:
    key = planted["organization_id"]
    mine = issuer.headers(f"representante:{key}", sub="vecina-1")
    for point, exact in (("blurred", False), ("exact", True), ("hidden", False)):
        assert say(api, mine, key, point=point).status_code == 200
        told = everything_public(api, issuer, planted)
        assert bool(leaks(told, EXACT)) == exact, point
        features = json.loads(told["/v1/directory.geojson (nobody)"])["features"]
        assert len(features) == (point != "hidden")


def meters(one: tuple[float, float], other: tuple[float, float]) -> float:
    (a, b), (c, d) = ([math.radians(degrees) for degrees in point] for point in (one, other))
    half = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * 6_371_009 * math.asin(math.sqrt(half))


def test_a_blurred_point_is_one_and_near_and_not_the_true_one(api: TestClient, registrar: dict[str, str]) -> None:
    true, blur = (LATITUDE, LONGITUDE), jurisdiction().registration.policy.blur_meters
    keys = [create(api, registrar, name=f"Sede {n}", latitude=true[0], longitude=true[1])["id"] for n in range(25)]
    for key in keys:
        say(api, registrar, key, point="blurred", evidence="Formulario firmado")

    def shown(key: str) -> tuple[float, float]:
        one = api.get(f"/v1/organizations/{key}").json()
        assert one["point"] == "blurred"
        return one["latitude"], one["longitude"]

    points = {key: shown(key) for key in keys}
    assert len(set(points.values())) == len(keys)
    for point in points.values():
        assert 0.05 * blur < meters(true, point) <= blur
    assert {key: shown(key) for key in keys} == points, "drawn anew at each request"

    listed = api.get("/v1/organizations", params={"limit": 50}).json()["items"]
    assert {one["id"]: (one["latitude"], one["longitude"]) for one in listed} == points
    features = api.get("/v1/directory.geojson").json()["features"]
    assert {f["id"]: tuple(reversed(f["geometry"]["coordinates"])) for f in features} == points
    assert {f["properties"]["point"] for f in features} == {"blurred"}
    table = list(csv.DictReader(io.StringIO(api.get("/v1/directory.csv").content.decode("utf-8-sig"))))
    assert {row["Clave"]: (float(row["Latitud"]), float(row["Longitud"])) for row in table} == points
    places = api.get("/v1/hsds/organizations", params={"per_page": 50}).json()["contents"]
    assert {o["id"]: (o["locations"][0]["latitude"], o["locations"][0]["longitude"]) for o in places} == points

    # Whoever filters and sorts learns no more than whoever looks.
    around = f"{true[1] - 2e-4},{true[0] - 2e-4},{true[1] + 2e-4},{true[0] + 2e-4}"
    for address in ("/v1/organizations", "/v1/directory.csv", "/v1/directory.geojson"):
        assert "Sede" not in api.get(address, params={"bbox": around}).text, address
    assert api.get("/v1/organizations", params={"near": f"{true[1]},{true[0]}", "radius": 10}).json()["items"] == []
    first = points[keys[0]]
    near = api.get("/v1/organizations", params={"near": f"{first[1]},{first[0]}"}).json()["items"]
    assert near[0]["id"] == keys[0]
    by_public = sorted(keys, key=lambda key: round(meters(first, points[key])))
    assert [round(meters(first, points[one["id"]])) for one in near] == [
        round(meters(first, points[k])) for k in by_public
    ]
    inside = api.get("/v1/organizations", params={"bbox": around}, headers=registrar).json()["items"]
    assert len(inside) == len(keys)
    assert (inside[0]["latitude"], inside[0]["longitude"], inside[0]["point"]) == (*true, "exact")

    # A point that is corrected by a step tells nothing new of most.
    moved = 0
    for key in keys:
        body = {"latitude": true[0] + 1e-5}
        assert (
            api.patch(f"/v1/organizations/{key}", json=body, headers=registrar | {"If-Match": "*"}).status_code == 200
        )
        moved += shown(key) != points[key]
    assert moved <= 3


def test_who_says_what_is_shown_and_since_when(api: TestClient, issuer: Issuer, registrar: dict[str, str]) -> None:
    key = create(api, registrar, contacts=[{"email": "jac@example.org"}])["id"]
    address = f"/v1/organizations/{key}/profile"
    mine = issuer.headers(f"representante:{key}", sub="vecina-1")
    for headers, status in (
        ({}, 401),
        (issuer.headers("ciudadania"), 403),
        (issuer.headers(f"representante:{uuid4()}"), 403),
        (issuer.headers("auditoria"), 403),
    ):
        assert say(api, headers, key, shown=["email"]).status_code == status
    assert api.get(address, headers=issuer.headers("ciudadania")).status_code == 403
    assert api.put(address, json={"shown": []}, headers=mine).status_code == 428
    assert api.put(address, json={"shown": []}, headers=mine | {"If-Match": '"3"'}).status_code == 412
    assert api.get(address, headers=mine).headers["ETag"] == '"0"'

    first = api.put(address, json={"shown": ["email"]}, headers=mine | {"If-Match": '"0"'})
    assert (first.status_code, first.headers["ETag"]) == (200, '"1"')
    since = first.json()["shown"]["email"]
    unproved = say(api, registrar, key, shown=["email", "address"])
    assert unproved.json()["errors"][0]["code"] == "evidence_missing"
    second = say(api, registrar, key, shown=["email", "address"], evidence="Acta 7 firmada por Ana Niño")
    assert second.json()["shown"]["email"] == since, "a consent keeps its date"
    assert second.json()["shown"]["address"] > since
    again = say(api, registrar, key, shown=["email", "address"], evidence="Otra vez")
    assert again.headers["ETag"] == second.headers["ETag"], "the same again changes nothing"
    assert say(api, mine, key).json()["shown"] == {}

    history = api.get(f"/v1/organizations/{key}/history", headers=registrar).json()["items"]
    told = [(one["author"], one["details"]) for one in history if one["kind"] == "profile_changed"]
    assert told == [
        ("vecina-1", {"given": ["email"], "withdrawn": [], "point": "hidden"}),
        ("registradora-1", {"given": ["address"], "withdrawn": [], "point": "hidden"}),
        ("vecina-1", {"given": [], "withdrawn": ["address", "email"], "point": "hidden"}),
    ]
    with tx() as session:
        stored = session.scalars(sa.select(sa.type_coerce(HistoryEntry.reason, sa.LargeBinary))).all()
    assert any(stored)
    assert not any(b"Ana" in one for one in stored if one)


def test_strangers_do_not_filter_by_what_they_are_not_shown(
    api: TestClient, issuer: Issuer, registrar: dict[str, str]
) -> None:
    key = create(api, registrar, legal_status="incorporated", neighborhood="La Peña")["id"]
    mine = issuer.headers(f"representante:{key}", sub="vecina-1")
    filters: list[dict[str, Any]] = [
        {"legal_status": "incorporated"},
        {"mandate_status": "unknown"},
        {"freshness": "never"},
        {"neighborhood": "la pena"},
    ]
    for asked in filters:
        refused = api.get("/v1/organizations", params=asked)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:tejido:problem:filter_for_officials")
        for headers, more in ((registrar, {}), (mine, {"mine": True})):
            found = api.get("/v1/organizations", params=asked | more, headers=headers).json()["items"]
            assert [one["id"] for one in found] == [key]


def test_the_table_harms_no_spreadsheet(api: TestClient, registrar: dict[str, str]) -> None:
    key = create(api, registrar, name="=HYPERLINK(1;2)", public_name="Ñandú; \t-2+3", address="@cmd")["id"]
    say(api, registrar, key, shown=["address"], evidence="Formulario")
    answer = api.get("/v1/directory.csv")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    [row] = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert (row["Nombre"], row["Nombre público"], row["Dirección"]) == (
        "'=HYPERLINK(1;2)",
        "Ñandú; \t'-2+3",
        "'@cmd",
    )
    assert (row["Tipo"], row["Zona"], row["Estado"]) == ("Junta de Acción Comunal", "Suba", "inscripta")
    english = api.get("/v1/directory.csv", headers={"Accept-Language": "en"}).text
    assert "Register number" in english


def test_the_exports_are_limited_to_what_is_asked(api: TestClient, registrar: dict[str, str]) -> None:
    create(api, registrar, name="Árbol", themes=["environment"], populations=["children"])
    create(api, registrar, name="Coop", organization_type="cooperative", area="usaquen")
    for asked, names in (
        ({}, ["Coop", "Árbol"]),
        ({"q": "arb"}, ["Árbol"]),
        ({"theme": "environment"}, ["Árbol"]),
        ({"population": "children"}, ["Árbol"]),
        ({"area": "usaquen"}, ["Coop"]),
        ({"organization_type": "cooperative"}, ["Coop"]),
    ):
        table = api.get("/v1/directory.csv", params=asked).content.decode("utf-8-sig")
        assert sorted(row["Nombre"] for row in csv.DictReader(io.StringIO(table))) == sorted(names), asked
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exports, "_BATCH", 1)
        lines = api.get("/v1/directory.csv").content.decode("utf-8-sig")
        assert sorted(row["Nombre"] for row in csv.DictReader(io.StringIO(lines))) == ["Coop", "Árbol"]
    assert api.get("/v1/directory.csv", params={"bbox": "1,2"}).status_code == 422
    assert api.get("/v1/directory.csv", params={"extra": "1"}).status_code == 422
    assert api.get("/v1/directory.geojson").json() == {"type": "FeatureCollection", "features": []}
    assert "max-age" in api.get("/v1/directory.csv").headers["Cache-Control"]


# The feed


def _nobody_else_writes() -> bool:
    others = "select 1 from pg_stat_activity where backend_xid is not null and datname <> current_database()"
    with tx() as session:
        return session.execute(sa.text(others)).first() is None


def feed(api: TestClient, after: str | None, limit: int = 1000) -> tuple[list[dict[str, Any]], str | None]:
    """All that there is after a place, page by page. The feed waits for what is being written in any database of the server,
    which tests beside these may do for long."""
    wait_until(_nobody_else_writes, 60, "an end to what others write")
    items: list[dict[str, Any]] = []
    while True:
        asked: dict[str, Any] = {"limit": limit} | ({"after": after} if after else {})
        answer = api.get("/v1/changes", params=asked)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        after = page["next"]
        if not page["more"]:
            return items, after


def test_the_feed_tells_what_changed_and_what_is_gone(api: TestClient, registrar: dict[str, str]) -> None:
    assert feed(api, None) == ([], None)
    first, second = create(api, registrar, name="Uno"), create(api, registrar, name="Dos")
    draft = create(api, registrar, name="Borrador", registration_status="draft")
    items, place = feed(api, None, limit=1)
    assert [(one["organization_id"], one["what"], one["number"]) for one in items] == [
        (first["id"], "changed", first["number"]),
        (second["id"], "changed", second["number"]),
    ]
    api.patch(f"/v1/organizations/{draft['id']}", json={"name": "Otro"}, headers=registrar | {"If-Match": "*"})
    assert feed(api, place) == ([], place), "a draft is nobody else's business"

    say(api, registrar, second["id"], shown=["email"], evidence="Formulario")
    items, place = feed(api, place)
    assert [one["organization_id"] for one in items] == [second["id"]]
    contacts = {"contacts": [{"email": "nueva@example.org"}]}
    api.patch(f"/v1/organizations/{second['id']}", json=contacts, headers=registrar | {"If-Match": "*"})
    items, place = feed(api, place)
    assert [one["organization_id"] for one in items] == [second["id"]]

    unlist(first["id"])
    unlist(second["id"], merged_into=UUID(first["id"]))
    items, place = feed(api, place)
    assert [(one["organization_id"], one["what"], one["number"], one["merged_into"]) for one in items] == [
        (first["id"], "removed", None, None),
        (second["id"], "removed", None, first["id"]),
    ]
    for wrong in ("x", "1", "1.2.3", "-1.2", "9" * 40 + ".1"):
        assert api.get("/v1/changes", params={"after": wrong}).status_code == 422


def test_a_change_that_commits_late_is_not_missed(api: TestClient, registrar: dict[str, str]) -> None:
    early, late = create(api, registrar, name="Temprana"), create(api, registrar, name="Tardía")
    _, place = feed(api, None)
    with tx() as slow:
        slow.execute(sa.update(Organization).where(Organization.id == UUID(late["id"])).values(name="Tardía, al fin"))
        with tx() as quick:
            quick.execute(sa.update(Organization).where(Organization.id == UUID(early["id"])).values(name="Ya está"))
        held, held_place = feed(api, place)
    after, _ = feed(api, held_place)
    seen = [one["organization_id"] for one in held + after]
    assert sorted(seen) == sorted([early["id"], late["id"]])


def test_nothing_is_missed_whatever_the_order_of_commits(api: TestClient, registrar: dict[str, str]) -> None:
    """Writers of every length, some of which roll back, while a reader follows."""
    keys = [create(api, registrar, name=f"Organización {n}")["id"] for n in range(8)]
    _, place = feed(api, None)
    done = Event()
    written: list[str] = []

    def write(turn: int) -> None:
        mine = f"Escrita {turn}"
        try:
            with tx() as session:
                session.execute(
                    sa.update(Organization).where(Organization.id == UUID(keys[turn % 8])).values(name=mine)
                )
                session.execute(sa.text("select count(*) from generate_series(1, :n)"), {"n": turn * 7919 % 90_000})
                if turn % 5 == 0:
                    raise LookupError
            written.append(keys[turn % 8])
        except LookupError:
            pass

    def follow() -> list[str]:
        seen, at = [], place
        while True:
            last = done.is_set()
            items, at = feed(api, at, limit=3)
            seen += [one["organization_id"] for one in items]
            if last:
                return seen

    with ThreadPoolExecutor(7) as pool:
        reader = pool.submit(follow)
        try:
            list(pool.map(write, range(120)))
        finally:
            done.set()
        seen = reader.result()
    assert sorted(seen) == sorted(written), "each committed change once, none of those that were rolled back"


def test_a_transaction_is_one_change(
    databases: dict[str, Database], api: TestClient, registrar: dict[str, str]
) -> None:
    key = create(api, registrar)["id"]
    _, place = feed(api, None)
    with tx() as session:
        for name in ("A", "B", "C"):
            session.execute(sa.update(Organization).where(Organization.id == UUID(key)).values(name=name))
        session.execute(sa.update(Organization).values(axes_due_on=today(), contact_bounced_at=now()))
    items, place = feed(api, place)
    assert [one["organization_id"] for one in items] == [key]
    with tx() as session:
        session.execute(sa.update(Organization).values(contact_bounced_at=None, captured_by=str(new_id())))
    assert feed(api, place) == ([], place), "nothing that anybody sees changed"
