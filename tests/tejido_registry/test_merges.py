"""Two organizations found to be one: by two officers, whole, told to everybody, and undone as if it had not been."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

import tejido_notifications.events
import tejido_requests.events
from tejido_notifications.campaigns import queries as campaigns
from tejido_notifications.campaigns.schemas import Segment
from tejido_notifications.models import KnownOrganization as Called
from tejido_registry.app import create_app
from tejido_registry.db import tx
from tejido_registry.duplicates import tasks as duplicates
from tejido_registry.merges import moves, service
from tejido_registry.models import (
    Application,
    Base,
    Branch,
    Document,
    DuplicatePair,
    ExternalReference,
    Mandate,
    Merge,
    Organization,
    Person,
    PublicProfile,
    Verification,
)
from tejido_registry.settings import jurisdiction
from tejido_registry.standing.service import today
from tejido_requests import organizations as asking
from tejido_requests.models import KnownOrganization as Asking
from tejido_shared import seam
from tejido_shared.clock import moved_to, now
from tejido_shared.contracts import Envelope
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.inbox import receive
from tejido_shared.refusals import Refused
from tejido_shared.testing import Issuer

BODY = {"organization_type": "community_action_board", "registration_status": "registered", "territory": "Suba"}
ONE = BODY | {
    "name": "Junta de Acción Comunal La Peña",
    "other_names": ["La Peña Vieja"],
    "identifiers": [{"scheme": "CO-PERSONERIA", "value": "Res. 12 de 2001"}],
    "contacts": [{"name": "Ana Niño", "email": "ana@example.org"}, {"name": "Luis Rey", "phone": "310 2345678"}],
    "themes": ["culture"],
}
OTHER = BODY | {
    "name": "JAC La Peña",
    "public_name": "La Peña Joven",
    "address": "Calle 1 # 2-03",
    "latitude": 4.7,
    "longitude": -74.1,
    "founded_on": "1990-05-01",
    "identifiers": [
        {"scheme": "CO-NIT", "value": "900123456", "check_digit": "8"},
        {"scheme": "CO-PERSONERIA", "value": "Res. 12 de 2001"},
    ],
    "contacts": [{"name": "Ana Niño", "email": "ana@example.org"}, {"name": "Rosa Gil", "phone": "311 2345678"}],
    "themes": ["environment", "culture"],
}
WHY = {"reason": "La misma junta, la misma presidenta"}


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture
def first(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


@pytest.fixture
def second(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registrador-2")


@pytest.fixture
def two(api: TestClient, first: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one that stays, and the other with something of everything that can be told of an organization."""
    survivor, absorbed = (_enter(api, first, **body) for body in (ONE, OTHER))
    _furnish(UUID(absorbed["id"]))
    return survivor, absorbed


def _enter(api: TestClient, headers: dict[str, str], **body: Any) -> dict[str, Any]:
    answer = api.post("/v1/organizations", json=BODY | body, headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _furnish(organization: UUID) -> None:
    with tx() as session:
        person = Person(name="Ana Niño", document="1020", document_mark=b"mark")
        session.add(person)
        session.flush()
        about = {"organization_id": organization}
        session.add_all(
            [
                Branch(position=0, name="Salón comunal", **about),
                Mandate(
                    person_id=person.id,
                    organ="direction",
                    post="Presidenta",
                    signs=True,
                    starts_on=date(2024, 7, 1),
                    ends_on=date(2030, 6, 30),
                    recorded_at=now(),
                    **about,
                ),
                Verification(
                    fields=["identity", "location", "contact", "authorities", "documents"],
                    method="visit",
                    verified_on=today(),
                    result="confirmed",
                    recorded_by="registradora-1",
                    recorded_at=now(),
                    note="Vista en su sede",
                    **about,
                ),
                _document(organization),
                Application(
                    kind="annual_filing",
                    period=2025,
                    number=f"TRA-{uuid4()}",
                    status="accepted",
                    submitted_at=now(),
                    submitted_by="ana",
                    on_behalf=False,
                    due_on=today(),
                    **about,
                ),
                ExternalReference(source="padrón", key=str(organization), fingerprint="x", **about),
                PublicProfile(consents={}, changed_by="ana", changed_at=now(), **about),
            ]
        )


def _document(organization: UUID) -> Document:
    return Document(
        organization_id=organization,
        document_type="statute",
        personal=False,
        file_key=new_id(),
        file_name="estatuto.pdf",
        media_type="application/pdf",
        size=1,
        sha256="0" * 64,
        status="verified",
        handed_in_at=now(),
        handed_in_by="ana",
    )


def _propose(api: TestClient, headers: dict[str, str], survivor: Any, absorbed: Any, **more: Any) -> Any:
    body = {"survivor_id": survivor["id"], "absorbed_id": absorbed["id"]} | WHY | more
    return api.post("/v1/merges", json=body, headers=headers)


def _merge(api: TestClient, first: Any, second: Any, survivor: Any, absorbed: Any, **more: Any) -> dict[str, Any]:
    proposed = _propose(api, first, survivor, absorbed, **more)
    assert proposed.status_code == 201, proposed.text
    done = api.post(f"/v1/merges/{proposed.json()['id']}/confirmation", headers=second)
    assert done.status_code == 200, done.text
    return dict(done.json())


def _undo(api: TestClient, headers: dict[str, str], merge: dict[str, Any]) -> Any:
    return api.post(f"/v1/merges/{merge['id']}/undoing", json={"reason": "Eran dos"}, headers=headers)


def _codes(answer: Any) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


_NOT_UNDONE = {"merge", "organization_history", "change", "duplicate_pair", "match_key", "match_check"}


def _bytes() -> dict[str, list[Any]]:
    """Every row of the register as it lies in the database, ciphertext too; without what only ever grows."""
    with tx() as session:
        found = {}
        for table in Base.metadata.sorted_tables:
            if table.name in _NOT_UNDONE:
                continue
            columns = [
                f"{table.name}.{column.name}::text"
                for column in table.c
                if (table.name, column.name) not in (("organization", "version"), ("organization", "changed_at"))
            ]
            rows = session.execute(sa.text(f"select {', '.join(columns)} from {table.name}"))
            found[table.name] = sorted(map(repr, rows))
        return found


# The journey


def test_from_side_by_side_to_one(
    api: TestClient, first: dict[str, str], second: dict[str, str], two: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    survivor, absorbed = two
    ids = {"survivor_id": survivor["id"], "absorbed_id": absorbed["id"]}
    preview = api.get("/v1/merges/preview", params=ids, headers=first).json()
    fields = {one["field"]: one for one in preview["fields"]}
    assert {name: fields[name]["choice"] for name in ("name", "address", "point", "themes", "legal_status")} == {
        "name": "survivor",
        "address": "absorbed",
        "point": "absorbed",
        "themes": "both",
        "legal_status": "survivor",
    }
    assert (fields["name"]["survivor"], fields["name"]["absorbed"]) == (ONE["name"], OTHER["name"])
    assert preview["obstacles"] == []
    assert preview["moves"] == {
        "application": 1,
        "branch": 1,
        "contact": 2,
        "document": 1,
        "external_reference": 1,
        "identifier": 2,
        "mandate": 1,
        "verification": 1,
    }
    assert preview["stays"].keys() >= {"organization_history", "public_profile"}

    proposed = _propose(api, first, survivor, absorbed, choices={"public_name": "absorbed", "founded_on": "survivor"})
    merge = proposed.json()
    assert (merge["status"], merge["proposed_by"], merge["preview"]["moves"]) == (
        "proposed",
        "registradora-1",
        preview["moves"],
    )
    assert _propose(api, second, survivor, absorbed).json()["type"] == "urn:tejido:problem:merge_open"
    confirmation = f"/v1/merges/{merge['id']}/confirmation"
    own = api.post(confirmation, headers=first)
    assert (own.status_code, own.json()["type"]) == (403, "urn:tejido:problem:merge_other_officer")
    assert api.get(f"/v1/organizations/{absorbed['id']}", headers=first).status_code == 200  # nothing happened yet
    done = api.post(confirmation, headers=second | {"Idempotency-Key": "una vez"})
    assert (done.status_code, done.json()["status"], done.json()["done_by"]) == (200, "done", "registrador-2")
    assert api.post(confirmation, headers=second | {"Idempotency-Key": "una vez"}).json() == done.json()
    assert api.post(confirmation, headers=second).json()["type"] == "urn:tejido:problem:merge_not_proposed"
    # One of the numbers and one of the contacts were the survivor's already.
    assert done.json()["moved"] == preview["moves"] | {"identifier": 1, "contact": 1}

    whole = api.get(f"/v1/organizations/{survivor['id']}", headers=first).json()
    assert (whole["number"], whole["name"], whole["public_name"]) == (survivor["number"], ONE["name"], "La Peña Joven")
    assert (whole["address"], whole["latitude"], whole["founded_on"]) == ("Calle 1 # 2-03", 4.7, None)
    assert whole["other_names"] == ["La Peña Vieja", "JAC La Peña"]
    assert whole["themes"] == ["culture", "environment"]
    assert [one["value"] for one in whole["identifiers"]] == ["900123456", "Res. 12 de 2001"]
    assert [one["name"] for one in whole["contacts"]] == ["Ana Niño", "Luis Rey", "Rosa Gil"]
    assert (whole["mandate_status"], whole["freshness"]) == ("current", "verified")  # its axes are computed anew

    # Every old way leads there.
    moved = api.get(f"/v1/organizations/{absorbed['id']}", headers=first)
    assert (moved.status_code, moved.headers["location"]) == (308, survivor["id"])
    for asked in (absorbed["number"], "900123456", "JAC la peña", survivor["number"]):
        found = api.get("/v1/organizations", params={"q": asked}, headers=first).json()["items"]
        assert [one["id"] for one in found] == [survivor["id"]], asked
    assert [one["id"] for one in api.get("/v1/organizations", headers=first).json()["items"]] == [survivor["id"]]
    changed = api.patch(f"/v1/organizations/{absorbed['id']}", json={"name": "Otra"}, headers=first | {"If-Match": "*"})
    assert changed.status_code == 409
    history = api.get(f"/v1/organizations/{survivor['id']}/history", headers=first).json()["items"]
    kinds = [one["kind"] for one in history]
    assert kinds.count("created") == 2
    assert {"merged_in", "merged"} <= set(kinds)
    assert f"Se le fusionó JAC La Peña ({absorbed['number']})" in [one["what"] for one in history]


def test_everybody_else_learns_it_in_whatever_order(
    api: TestClient,
    databases: dict[str, Database],
    first: dict[str, str],
    second: dict[str, str],
    two: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    survivor, absorbed = two
    third = _enter(api, first, name="JAC La Peña Alta")
    merge = _merge(api, first, second, survivor, absorbed)
    outer = _merge(api, first, second, third, survivor)
    with tx() as session:
        envelopes = list(
            session.scalars(sa.select(seam.outbox.c.envelope).where(seam.outbox.c.subscriber == "requests"))
        )
    ids = {name: UUID(one["id"]) for name, one in (("s", survivor), ("a", absorbed), ("t", third))}
    told = [Envelope.model_validate(one).data for one in envelopes]
    assert {one["organization_id"]: one["merged_into"] for one in told if one["status"] == "merged"} == {
        absorbed["id"]: third["id"],  # who lived on in the survivor lives on in the third
        survivor["id"]: third["id"],
    }
    handlers = {"requests": tejido_requests.events.HANDLERS, "notifications": tejido_notifications.events.HANDLERS}

    def deliver() -> None:
        with tx() as session:
            letters = [
                (subscriber, {"envelope": envelope, "sent": 1})
                for subscriber, envelope in session.execute(
                    sa.select(seam.outbox.c.subscriber, seam.outbox.c.envelope).where(
                        seam.outbox.c.subscriber.in_(handlers)
                    )
                )
            ]
        random.Random(7).shuffle(letters)
        for subscriber, letter in letters:
            assert receive(databases[subscriber], handlers[subscriber], [letter])

    def called() -> set[UUID]:
        with databases["notifications"].tx() as session:
            everybody = Segment(statuses=[])
            return set(session.scalars(sa.select(Called.id).where(campaigns.in_segment(everybody))))

    deliver()
    with databases["requests"].tx() as session:
        assert asking.survivor(session, ids["a"]) == asking.survivor(session, ids["s"]) == ids["t"]
        assert asking.family(session, ids["t"]) == set(ids.values())
        assert session.get_one(Asking, ids["t"]).name == "JAC La Peña Alta"
    assert called() == {ids["t"]}

    assert _undo(api, first, merge).json()["type"] == "urn:tejido:problem:merge_undo_later_first"
    assert _undo(api, first, outer).status_code == 200
    assert _undo(api, first, merge).status_code == 200
    deliver()
    with databases["requests"].tx() as session:
        assert asking.family(session, ids["t"]) == {ids["t"]}
        assert asking.survivor(session, ids["a"]) == ids["a"]
    assert called() == set(ids.values())


# Undone


def test_undone_it_is_as_if_it_had_not_been(
    api: TestClient, first: dict[str, str], second: dict[str, str], two: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    survivor, absorbed = two
    nit = {"scheme": "CO-NIT", "value": "800123457", "check_digit": _digit("800123457")}
    both = [*ONE["identifiers"], nit]
    api.patch(f"/v1/organizations/{survivor['id']}", json={"identifiers": both}, headers=first | {"If-Match": "*"})
    _settle(survivor, absorbed)
    before = _bytes()
    choices = {
        "identifiers.CO-NIT": "absorbed",
        "name": "absorbed",
        "other_names": "survivor",
        "organization_type": "survivor",
    }
    merge = _merge(api, first, second, survivor, absorbed, choices=choices)
    assert _bytes() != before
    whole = api.get(f"/v1/organizations/{survivor['id']}", headers=first).json()
    assert [one["value"] for one in whole["identifiers"] if one["scheme"] == "CO-NIT"] == ["900123456"]
    assert (whole["name"], whole["other_names"]) == (OTHER["name"], ["La Peña Vieja"])
    # Nobody else can take the number that was not chosen.
    taken = api.post("/v1/organizations", json=BODY | {"name": "Tercera", "identifiers": [nit]}, headers=first)
    assert taken.status_code == 422
    undone = _undo(api, first, merge)
    assert (undone.status_code, undone.json()["status"], undone.json()["kept"]) == (200, "undone", [])
    assert _bytes() == before
    assert _undo(api, first, merge).json()["type"] == "urn:tejido:problem:merge_not_done"
    again = _merge(api, first, second, survivor, absorbed, choices=choices)
    assert again["id"] != merge["id"]


def test_what_a_person_changed_since_stays(
    api: TestClient, first: dict[str, str], second: dict[str, str], two: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    survivor, absorbed = two
    before = _bytes()
    merge = _merge(api, first, second, survivor, absorbed)
    contacts = [{"name": "Rosa Gil", "phone": "311 2345678", "post": "Tesorera"}]
    changes = {"address": "Calle 9", "contacts": contacts}
    api.patch(f"/v1/organizations/{survivor['id']}", json=changes, headers=first | {"If-Match": "*"}).raise_for_status()
    with tx() as session:
        session.execute(sa.update(Document).values(status="refused"))
        session.execute(sa.delete(Branch))
    kept = _undo(api, first, merge).json()["kept"]
    assert {(one["what"], one["why"]) for one in kept} == {
        ("address", "changed"),
        ("branch", "gone"),
        ("contact", "gone"),
        ("document", "changed"),
    }
    assert "address: una persona lo cambió después de la fusión" in [one["text"] for one in kept]
    now_one, now_other = (
        api.get(f"/v1/organizations/{one['id']}", headers=first).json() for one in (survivor, absorbed)
    )
    assert (now_one["address"], [one["post"] for one in now_one["contacts"]]) == ("Calle 9", ["Tesorera"])
    assert now_one["latitude"] is None  # untouched since, it went back
    assert now_other["address"] == "Calle 1 # 2-03"
    assert now_other["registration_status"] == "registered"
    after = _bytes()
    assert after["mandate"] == before["mandate"]
    assert after["identifier"] == before["identifier"]


def test_only_within_the_window(
    api: TestClient, first: dict[str, str], second: dict[str, str], two: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    merge = _merge(api, first, second, *two)
    days = jurisdiction().registration.policy.merge_undo_days
    last = date.fromisoformat(merge["undo_until"])
    with moved_to(now() + timedelta(days=days + 1)), tx() as session:
        row = session.get_one(Merge, UUID(merge["id"]))
        survivor, absorbed = service.sides(session, row, lock=True)
        with pytest.raises(Refused, match="merge_undo_over"):
            service.undo(session, row, survivor, absorbed, "x", "tarde")
    assert (last - today()).days in (days - 1, days, days + 1)
    with moved_to(now() + timedelta(days=days - 1)), tx() as session:
        row = session.get_one(Merge, UUID(merge["id"]))
        survivor, absorbed = service.sides(session, row, lock=True)
        service.undo(session, row, survivor, absorbed, "x", "a tiempo")
        assert absorbed.merged_into is None


# What stands in the way


def test_nothing_is_merged_while_a_reference_has_no_rule(
    api: TestClient,
    first: dict[str, str],
    two: tuple[dict[str, Any], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert moves.unhandled() == [], "say in merges.moves.MOVES what becomes of these"
    assert moves.MOVES.keys() <= moves.references(), "rules of columns that are no more"
    added = sa.MetaData()
    Base.metadata.tables["organization"].to_metadata(added)
    sa.Table("hall", added, sa.Column("keeper_id", sa.Uuid, sa.ForeignKey("organization.id")))
    assert moves.unhandled(added) == ["hall.keeper_id"]
    monkeypatch.delitem(moves.MOVES, "branch.organization_id")
    refused = _propose(api, first, *two)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tejido:problem:merge_unhandled")
    assert "branch.organization_id" in refused.json()["detail"]
    ids = {"survivor_id": two[0]["id"], "absorbed_id": two[1]["id"]}
    preview = api.get("/v1/merges/preview", params=ids, headers=first).json()
    assert [one["code"] for one in preview["obstacles"]] == ["merge_unhandled"]


def test_obstacles(
    api: TestClient,
    first: dict[str, str],
    second: dict[str, str],
    issuer: Issuer,
    two: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    survivor, absorbed = two
    nothing = _bytes()
    assert _codes(_propose(api, first, survivor, survivor)) == {"body.absorbed_id": "merge_same"}
    nobody = {"id": str(uuid4())}
    assert _codes(_propose(api, first, survivor, nobody)) == {"body.absorbed_id": "unknown_organization"}
    bad = _propose(api, first, survivor, absorbed, choices={"color": "survivor", "name": "both"})
    assert _codes(bad) == {"body.choices.color": "unknown_choice", "body.choices.name": "choice_not_both"}
    assert _propose(api, issuer.headers("ciudadania"), survivor, absorbed).status_code == 403
    assert _propose(api, issuer.headers("auditoria"), survivor, absorbed).status_code == 403
    assert api.post("/v1/merges", json={}, headers=first).status_code == 422
    assert _bytes() == nothing

    proposed = _propose(api, first, survivor, absorbed).json()
    with tx() as session:
        # What came in between counts when it is confirmed.
        session.execute(sa.update(Application).values(status="in_review"))
        row = session.get_one(Organization, UUID(absorbed["id"]))
        row.registration_status = "suspended"
    confirmation = f"/v1/merges/{proposed['id']}/confirmation"
    answer = api.post(confirmation, headers=second)
    assert (answer.status_code, {error["code"] for error in answer.json()["errors"]}) == (
        422,
        {"merge_suspended", "merge_open_application"},
    )
    seen = api.get(f"/v1/merges/{proposed['id']}", headers=second).json()
    assert {one["code"] for one in seen["preview"]["obstacles"]} == {"merge_suspended", "merge_open_application"}
    refused = api.post(f"/v1/merges/{proposed['id']}/refusal", json={"reason": "No ahora"}, headers=second).json()
    assert (refused["status"], refused["reason"]) == ("refused", f"{WHY['reason']}\n\nNo ahora")
    assert api.post(confirmation, headers=second).status_code == 409

    draft = _enter(api, first, name="Borrador", registration_status="draft")
    assert _codes(_propose(api, first, draft, survivor)) == {"body.survivor_id": "merge_survivor_not_registered"}
    assert _propose(api, first, survivor, draft).status_code == 201
    nit = {"scheme": "CO-NIT", "value": "800123457", "check_digit": _digit("800123457")}
    third = _enter(api, first, name="Tercera", identifiers=[nit])
    fourth = _enter(
        api, first, name="Cuarta", identifiers=[nit | {"value": "800123458", "check_digit": _digit("800123458")}]
    )
    assert _codes(_propose(api, first, third, fourth)) == {"body.choices.identifiers.CO-NIT": "choice_missing"}
    _merge(api, first, second, third, fourth, choices={"identifiers.CO-NIT": "survivor"})
    assert _codes(_propose(api, first, survivor, fourth)) == {"body.absorbed_id": "merge_is_merged"}
    listed = api.get("/v1/merges", params={"status": "done"}, headers=first).json()["items"]
    assert [(one["survivor_name"], one["absorbed_name"]) for one in listed] == [("Tercera", "Cuarta")]


def test_two_who_confirm_at_once_do_it_once(
    api: TestClient,
    issuer: Issuer,
    first: dict[str, str],
    two: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    merge = _propose(api, first, *two).json()
    others = [issuer.headers("registro", sub=f"otra-{n}") for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda who: api.post(f"/v1/merges/{merge['id']}/confirmation", headers=who), others))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Mandate)) == 1


# With the rest of the register


def test_duplicates_and_imports_know_of_it(
    api: TestClient, first: dict[str, str], second: dict[str, str], two: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    survivor, absorbed = two

    def compared() -> list[tuple[str, set[str]]]:
        while duplicates.compare():
            pass
        with tx() as session:
            return [
                (one.status, {str(one.first_id), str(one.second_id)})
                for one in session.scalars(sa.select(DuplicatePair))
            ]

    pair = {survivor["id"], absorbed["id"]}
    assert compared() == [("pending", pair)]
    merge = _merge(api, first, second, survivor, absorbed)
    assert compared() == [("merged", pair)]
    mapping = {
        "columns": {"name": "n", "purpose": "p"},
        "constants": {"organization_type": "community_action_board"},
        "key": ["k"],
    }
    rows = f"n,p,k\nJAC La Peña,Mejorar el barrio,{absorbed['id']}\n"
    form = {"source": "padrón", "mapping": json.dumps(mapping)}
    report = api.post("/v1/imports", files={"file": ("f", rows.encode())}, data=form, headers=first).json()
    assert (report["created"], report["changed"]) == (0, 1)
    whole = api.get(f"/v1/organizations/{survivor['id']}", headers=first).json()
    assert whole["purpose"] == "Mejorar el barrio"
    kept = _undo(api, first, merge).json()["kept"]
    assert ("external_reference", "changed") in {(one["what"], one["why"]) for one in kept}
    assert compared() == [("pending", pair)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_however_they_are_merged_and_undone_no_way_is_long_and_all_come_back(
    api: TestClient, first: dict[str, str], second: dict[str, str], seed: int
) -> None:
    rng = random.Random(seed)
    made = [_enter(api, first, name=f"Junta {n}", contacts=[{"email": f"j{n}@example.org"}]) for n in range(5)]
    for one in made[:3]:
        _furnish(UUID(one["id"]))
    _settle(*made)
    before = _bytes()
    done: list[dict[str, Any]] = []
    for _ in range(12):
        alive = [one for one in made if _lives_on(one) is None]
        if done and (len(alive) == 1 or rng.random() < 0.4):
            answer = _undo(api, first, rng.choice(done))
            if answer.status_code == 200:
                done = [one for one in done if one["id"] != answer.json()["id"]]
                assert answer.json()["kept"] == []
            else:
                assert answer.json()["type"] == "urn:tejido:problem:merge_undo_later_first"
        else:
            survivor, absorbed = rng.sample(alive, 2)
            done.append(_merge(api, first, second, survivor, absorbed))
        with tx() as session:
            end, way = sa.orm.aliased(Organization), Organization
            long = sa.select(way.id).join(end, end.id == way.merged_into).where(end.merged_into.is_not(None))
            assert session.scalars(long).all() == []
    while done:
        left = [one for one in done if _undo(api, first, one).status_code != 200]
        assert len(left) < len(done)
        done = left
    assert _bytes() == before


def _lives_on(one: dict[str, Any]) -> UUID | None:
    with tx() as session:
        return session.get_one(Organization, UUID(one["id"])).merged_into


def _settle(*made: dict[str, Any]) -> None:
    """The axes as they are today, so that what was put in the tables by hand is in the rows of the organizations."""
    from tejido_registry.renewal import service as renewal

    with tx() as session:
        for one in made:
            renewal.refresh(session, session.get_one(Organization, UUID(one["id"]), with_for_update=True))


def _digit(base: str) -> str:
    from stdnum.co import nit

    return str(nit.calc_check_digit(base))
