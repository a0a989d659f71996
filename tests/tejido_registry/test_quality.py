"""The quality board counts what is there, by area and type; what comes back marks a contact until it changes."""

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_registry.app import create_app
from tejido_registry.db import database, tx
from tejido_registry.events import HANDLERS
from tejido_registry.models import Application, Contact, DuplicatePair, Organization, Territory
from tejido_registry.quality import queries, service
from tejido_registry.settings import jurisdiction
from tejido_shared import contracts
from tejido_shared.clock import now
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.inbox import receive
from tejido_shared.testing import Issuer

BOARD, FOUNDATION = "community_action_board", "foundation"


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


_numbers = iter(range(1, 10**6))


def organization(*, contact: bool = True, **values: Any) -> UUID:
    """As good as can be, but for what is said."""
    number = next(_numbers)
    good: dict[str, Any] = {
        "id": new_id(),
        "number": f"ORG-{number:06}",
        "name": f"Junta {number:06}",
        "organization_type": BOARD,
        "registration_status": "registered",
        "area": "suba",
        "area_found": "suba",
        "latitude": 4.7,
        "longitude": -74.1,
        "mandate_status": "current",
        "freshness": "verified",
        "filing_due_on": today() + timedelta(days=30),
        "registered_at": now(),
        "changed_at": now(),
    }
    with tx() as session:
        session.execute(sa.insert(Organization), [{**good, **values, "version": 1}])
        if contact:
            row = {"id": new_id(), "organization_id": good["id"], "position": 0, "email": "junta@correo.example"}
            session.execute(sa.insert(Contact), [row])
    return UUID(str(good["id"]))


def today() -> date:
    return service.today(now())


def application(of: UUID, **values: Any) -> None:
    with tx() as session:
        session.add(
            Application(
                **{
                    "organization_id": of,
                    "kind": "registration",
                    "number": f"TRA-{next(_numbers)}",
                    "status": "in_review",
                    "submitted_at": now(),
                    "submitted_by": "x",
                    "on_behalf": False,
                    "due_on": today() - timedelta(days=1),
                    **values,
                }
            )
        )


def pair(first: UUID, second: UUID, status: str = "pending") -> None:
    low, high = sorted((first, second))
    with tx() as session:
        session.add(DuplicatePair(first_id=low, second_id=high, score=0.9, signals={}, status=status, found_at=now()))


def town() -> dict[str, UUID]:
    """One organization that is good in all, and one bad one for each figure; the merged, the gone and the drafts do not count."""
    with tx() as session:
        shape = {"type": "Point", "coordinates": [0, 0]}  # which only has to be there
        session.execute(
            sa.insert(Territory), [{"id": new_id(), "kind": "area", "code": "x", "name": "x", "shape": shape}]
        )
    made = {
        "good": organization(),
        "verified": organization(freshness="due", organization_type=FOUNDATION),
        "valid_mandate": organization(mandate_status="expired", area="usme", area_found="usme"),
        "geocoded": organization(latitude=None, longitude=None, area=None, area_found=None),
        "outside": organization(area_found=None),
        "area_disagrees": organization(area_found="usme"),
        "bounced": organization(contact_bounced_at=now()),
        "without_contact": organization(contact=False),
        "possible_duplicate": organization(registration_status="suspended", mandate_status="expiring"),
        "filing_overdue": organization(registration_status="inactive", filing_due_on=today() - timedelta(days=1)),
        "draft_overdue": organization(registration_status="draft", changed_at=now() - timedelta(days=31)),
        "application_overdue": organization(registration_status="in_review", area="usme"),
        "draft": organization(registration_status="draft", freshness="never"),
        "cancelled": organization(registration_status="cancelled", freshness="never", contact=False),
    }
    made["merged"] = organization(
        registration_status="merged", merged_into=made["good"], freshness="never", contact=False
    )
    pair(made["possible_duplicate"], made["cancelled"])
    pair(made["good"], made["verified"], "different")
    application(made["application_overdue"])
    application(made["draft"], due_on=today())  # today is still in time
    application(made["good"], status="accepted")
    return made


def figures(group: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {one["code"]: (one["count"], one["of"]) for one in group["figures"]}


def test_the_board_counts_and_lists(api: TestClient, registrar: dict[str, str]) -> None:
    made = town()
    board = api.get("/v1/quality", headers=registrar).json()
    assert (board["organizations"], board["duplicates_pending"]) == (10, 1)
    assert figures(board) == {
        "verified": (9, 10),
        "valid_mandate": (9, 10),
        "geocoded": (9, 10),
        **dict.fromkeys(("outside", "area_disagrees", "bounced", "without_contact"), (1, 10)),
        **dict.fromkeys(("possible_duplicate", "filing_overdue"), (1, 10)),
        "draft_overdue": (1, 2),
        "application_overdue": (1, 2),
    }
    assert {one["code"]: one["share"] for one in board["figures"]}["application_overdue"] == 0.5
    for figure in board["figures"]:  # the list of each holds the one organization that is bad in that
        items = api.get(figure["list"], headers=registrar).json()["items"]
        assert [one["id"] for one in items] == [str(made[figure["code"]])], figure
        assert figure["name"] != f"quality.{figure['code']}"


def test_by_area_and_type(api: TestClient, registrar: dict[str, str]) -> None:
    made = town()
    board = api.get("/v1/quality", headers=registrar).json()
    order = [one.code for one in jurisdiction().areas]
    codes = [one["code"] for one in board["by_area"]]
    assert codes == [*sorted({"suba", "usme"}, key=order.index), None]
    areas = {one["code"]: one for one in board["by_area"]}
    assert {code: one["organizations"] for code, one in areas.items()} == {"suba": 8, "usme": 1, None: 1}
    assert figures(areas["usme"])["valid_mandate"] == (0, 1)
    assert figures(areas["usme"])["application_overdue"] == (1, 1)
    types = {one["code"]: one for one in board["by_type"]}
    assert figures(types[FOUNDATION])["verified"] == (0, 1)
    assert sum(one["organizations"] for one in board["by_type"]) == 10

    lists = {one["code"]: one["list"] for one in areas[None]["figures"]}
    assert [one["id"] for one in api.get(lists["geocoded"], headers=registrar).json()["items"]] == [
        str(made["geocoded"])
    ]
    lists = {one["code"]: one["list"] for one in types[FOUNDATION]["figures"]}
    assert [one["id"] for one in api.get(lists["verified"], headers=registrar).json()["items"]] == [
        str(made["verified"])
    ]
    assert api.get(lists["geocoded"], headers=registrar).json()["items"] == []

    text = api.get("/v1/quality.csv", headers=registrar).content.decode("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len(board["by_area"]) + len(board["by_type"]) + 1
    assert (rows[-1]["area"], rows[-1]["organizations"], rows[-1]["verified"]) == ("*", "10", "9")
    usme = next(row for row in rows if row["area"] == "usme")
    assert (usme["name"], usme["organizations"], usme["application_overdue"]) == ("Usme", "1", "1")


def test_an_empty_register_and_one_without_shapes(api: TestClient, registrar: dict[str, str]) -> None:
    board = api.get("/v1/quality", headers=registrar).json()
    assert (board["organizations"], board["by_area"], board["by_type"]) == (0, [], [])
    assert {one["share"] for one in board["figures"]} == {None}
    organization(area_found=None)
    assert figures(api.get("/v1/quality", headers=registrar).json())["outside"] == (0, 1)


def test_metrics_say_the_same(api: TestClient) -> None:
    town()
    shown = api.get("/metrics").text
    for line in (
        "registry_organizations 10.0",
        'registry_quality{figure="verified"} 9.0',
        'registry_quality{figure="application_overdue"} 1.0',
        "registry_duplicates_pending 1.0",
    ):
        assert line in shown.splitlines()


def test_who_sees_it(api: TestClient, issuer: Issuer) -> None:
    for path in ("/v1/quality", "/v1/quality.csv", "/v1/quality/organizations?figure=bounced"):
        assert api.get(path).status_code == 401
        assert api.get(path, headers=issuer.headers("ciudadania")).status_code == 403
        assert api.get(path, headers=issuer.headers("auditoria")).status_code == 200
    assert api.get("/v1/quality/organizations?figure=x", headers=issuer.headers("registro")).status_code == 422


def test_the_statements_do_not_grow_with_the_register(api: TestClient, registrar: dict[str, str]) -> None:
    seen: list[str] = []

    def count(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    def statements() -> int:
        seen.clear()
        with database.read() as session:
            service.board(session)
        return len(seen)

    town()
    with database.tx() as session:
        engine = session.get_bind()
    sa.event.listen(engine, "before_cursor_execute", count)
    try:
        few = statements()
        for _ in range(30):
            organization(area="kennedy")
        assert statements() == few <= 3
    finally:
        sa.event.remove(engine, "before_cursor_execute", count)


def unreachable(of: UUID, **fields: Any) -> None:
    event = contracts.OrganizationUnreachable(**{"organization_id": of, "at": now(), **fields})
    envelope = contracts.envelope_of(
        event, event_id=new_id(), subject_version=1, occurred_at=now(), correlation_id="", traceparent=None
    )
    assert receive(database, HANDLERS, [{"envelope": envelope.model_dump(mode="json"), "sent": 1}]) == [envelope.id]


def bounced(of: UUID) -> bool:
    with tx() as session:
        one = session.get_one(Organization, of)
        assert one.version in (1, 2, 3)
        return one.contact_bounced_at is not None


def test_a_bounce_marks_the_contact_until_it_changes(api: TestClient, registrar: dict[str, str]) -> None:
    one = organization()
    earlier = now()
    unreachable(one, channel="web_push")
    unreachable(new_id())
    assert not bounced(one)
    unreachable(one)
    unreachable(one)
    assert bounced(one)
    listed = api.get("/v1/quality/organizations?figure=bounced", headers=registrar).json()["items"]
    assert [row["id"] for row in listed] == [str(one)]

    def patch(**body: Any) -> None:
        answer = api.patch(f"/v1/organizations/{one}", json=body, headers=registrar | {"If-Match": "*"})
        assert answer.status_code == 200, answer.text

    patch(public_name="La Peña")
    assert bounced(one)
    patch(contacts=[{"email": "otra@correo.example"}])
    assert not bounced(one)
    unreachable(one, at=earlier)  # that was the address before
    assert not bounced(one)
    unreachable(one)
    assert bounced(one)


def test_a_bounce_of_a_merged_one_is_of_where_it_lives_on(databases: dict[str, Database]) -> None:
    survivor = organization()
    absorbed = organization(registration_status="merged", merged_into=survivor)
    unreachable(absorbed)
    assert bounced(survivor)
    assert not bounced(absorbed)


def test_every_listener_has_its_handler() -> None:
    mine = {event for event, services in contracts.LISTENERS.items() if "registry" in services}
    assert mine == set(HANDLERS)


def test_the_figures_have_their_conditions() -> None:
    assert set(queries.conditions(now(), today())) == set(service.FIGURES)
