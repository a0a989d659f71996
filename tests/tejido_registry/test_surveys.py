"""Verifications, how fresh they leave the data, and campaigns of visits."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tejido_registry.app import create_app
from tejido_registry.axes import ESSENTIAL, Confirmation, confirmed, freshness, turns_of_freshness, verified_on
from tejido_registry.renewal import tasks
from tejido_registry.settings import jurisdiction
from tejido_shared import clock
from tejido_shared.db import Database
from tejido_shared.testing import Issuer

POLICY = jurisdiction().registration.policy
NOON = datetime(2028, 2, 29, 17, tzinfo=UTC)
WHOLE = ["identity", "location", "contact"]


@pytest.mark.parametrize(
    ("verified", "on", "expected"),
    [
        (None, date(2028, 2, 29), "never"),
        (date(2028, 2, 29), date(2028, 2, 29), "verified"),
        (date(2028, 2, 29), date(2029, 2, 28), "verified"),
        (date(2028, 2, 29), date(2029, 3, 1), "due"),
        (date(2028, 2, 29), date(2030, 2, 28), "due"),
        (date(2028, 2, 29), date(2030, 3, 1), "stale"),
        (date(2027, 2, 28), date(2028, 2, 28), "verified"),
        (date(2027, 2, 28), date(2028, 2, 29), "due"),
    ],
)
def test_freshness_by_whole_months(verified: date | None, on: date, expected: str) -> None:
    assert freshness(verified, on, POLICY) == expected


_groups = st.lists(
    st.tuples(
        st.sets(st.sampled_from([*ESSENTIAL, "documents"]), min_size=1),
        st.integers(0, 1500).map(lambda n: date(2024, 1, 1) + timedelta(days=n)),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(_groups, st.randoms(use_true_random=False))
def test_the_whole_is_as_old_as_its_oldest_group_in_whatever_order(rows: list[Any], random: Any) -> None:
    found = [Confirmation(frozenset(groups), on) for groups, on in rows]
    on = date(2028, 6, 1)
    latest = verified_on(confirmed(found, on))
    last = {group: max((one.on for one in found if group in one.groups), default=None) for group in ESSENTIAL}
    assert latest == (None if None in last.values() else min(day for day in last.values() if day))
    random.shuffle(found)
    assert verified_on(confirmed(found, on)) == latest


@settings(deadline=None)
@given(_groups, st.integers(0, 1500))
def test_only_the_days_that_are_said_to_change_it_do(rows: list[Any], start: int) -> None:
    found = [Confirmation(frozenset(groups), on) for groups, on in rows]
    on = date(2024, 1, 1) + timedelta(days=start)

    def fresh(day: date) -> str:
        return freshness(verified_on(confirmed(found, day)), day, POLICY)

    following = min((day for day in turns_of_freshness(found, POLICY) if day > on), default=on + timedelta(days=400))
    for ahead in range(min((following - on).days, 400)):
        assert fresh(on + timedelta(days=ahead)) == fresh(on)


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def registrar(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registro", sub="registradora-1")


@pytest.fixture
def visitor(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("funcionario:gerencia-proyectos", sub="relevadora-1")


def _organization(api: TestClient, registrar: dict[str, str], name: str, area: str | None = None, **more: Any) -> str:
    body = {"name": name, "organization_type": "community_action_board", "area": area, **more}
    answer = api.post("/v1/organizations", json=body, headers=registrar)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _verify(api: TestClient, who: dict[str, str], key: str, **body: Any) -> Any:
    body = {"fields": WHOLE, "method": "visit", "result": "confirmed", **body}
    return api.post(f"/v1/organizations/{key}/verifications", json=body, headers=who)


def _errors(answer: Any) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


def test_verification_is_not_the_row_s_last_change(
    api: TestClient, registrar: dict[str, str], visitor: dict[str, str], issuer: Issuer
) -> None:
    with clock.moved_to(NOON):
        key = _organization(api, registrar, "Junta")
        path = f"/v1/organizations/{key}"

        def fresh() -> tuple[str, str | None]:
            shown = api.get(path, headers=registrar).json()
            return shown["freshness"], shown["verified_on"]

        assert api.patch(path, json={"address": "Calle 2"}, headers=registrar | {"If-Match": '"1"'}).is_success
        assert fresh() == ("never", None)
        assert _verify(api, visitor, key, fields=["identity", "location"]).status_code == 201
        assert _verify(api, visitor, key, fields=["contact"], result="not_confirmed").status_code == 201
        assert fresh() == ("never", None)
        called = _verify(
            api, visitor, key, fields=["contact", "contact"], method="phone", verified_on="2027-02-27", note="Ana"
        )
        assert (called.json()["fields"], called.json()["recorded_by"]) == (["contact"], "relevadora-1")
        assert fresh() == ("due", "2027-02-27")
        shown = api.get(f"{path}/freshness").json()
        assert {one["group"]: one["freshness"] for one in shown["groups"]} == {
            "identity": "verified",
            "location": "verified",
            "contact": "due",
            "authorities": "never",
            "documents": "never",
        }
        assert _verify(api, visitor, key, fields=["contact"], result="corrected").status_code == 201
        assert fresh() == ("verified", "2028-02-29")
        for wrong in ("2028-03-01", "1999-12-31"):
            assert _errors(_verify(api, visitor, key, verified_on=wrong)) == {"body.verified_on": "verified_on"}
        assert "body.fields" in _errors(_verify(api, visitor, key, fields=[]))
        listed = api.get(f"{path}/verifications", headers=issuer.headers("auditoria")).json()["items"]
        assert [one["verified_on"] for one in listed] == ["2028-02-29"] * 3 + ["2027-02-27"]
        assert api.get(f"{path}/verifications").status_code == 401
        assert api.get(f"{path}/verifications", headers=issuer.headers(f"representante:{key}")).status_code == 403
        assert _verify(api, issuer.headers(f"representante:{key}"), key).status_code == 403
    for day, expected in (
        (datetime(2029, 3, 1, 4, 59, tzinfo=UTC), "verified"),
        (datetime(2029, 3, 1, 5, 1, tzinfo=UTC), "due"),
    ):
        with clock.moved_to(day):
            tasks.turn()
            assert fresh()[0] == expected


def test_a_campaign_lists_whom_it_has_still_to_visit(
    api: TestClient, registrar: dict[str, str], visitor: dict[str, str], issuer: Issuer
) -> None:
    with clock.moved_to(NOON):
        first, second, third = (_organization(api, registrar, f"Junta {n}", "suba") for n in (1, 2, 3))
        elsewhere = _organization(api, registrar, "Lejana", "usaquen")
        _organization(api, registrar, "Borrador", "suba", registration_status="draft")
        # The third was visited fully not long ago, the second so long ago that its time is over.
        assert _verify(api, visitor, third, verified_on="2026-01-01").is_success
        assert _verify(api, visitor, second, verified_on="2024-02-28").is_success
        wrong = {"name": "R", "areas": ["suba", "99x"], "starts_on": "2028-03-02", "ends_on": "2028-03-01"}
        assert _errors(api.post("/v1/surveys", json=wrong, headers=registrar)) == {
            "body.areas.1": "unknown_area",
            "body.ends_on": "dates_reversed",
        }
        body = {"name": "Relevamiento de Suba", "areas": ["suba"], "starts_on": "2028-02-01", "ends_on": "2028-12-31"}
        assert api.post("/v1/surveys", json=body, headers=visitor).status_code == 403
        survey = api.post("/v1/surveys", json=body, headers=registrar).json()
        path = f"/v1/surveys/{survey['id']}"
        assert survey["progress"] == {"organizations": 3, "visited": 0, "not_found": 0, "to_visit": 3, "overdue": 2}

        def names(**query: Any) -> list[tuple[str, str | None]]:
            items = api.get(f"{path}/organizations", params=query, headers=visitor).json()["items"]
            return [(item["name"], item["last_full_visit_on"]) for item in items]

        assert names() == [("Junta 1", None), ("Junta 2", "2024-02-28"), ("Junta 3", "2026-01-01")]
        assert names(overdue=True) == [("Junta 1", None), ("Junta 2", "2024-02-28")]
        mine = {"survey_id": survey["id"]}
        assert _errors(_verify(api, visitor, first, **mine, method="phone")) == {"body.method": "survey_needs_visit"}
        assert _errors(_verify(api, visitor, elsewhere, **mine)) == {"body.survey_id": "not_in_survey"}
        assert _errors(_verify(api, visitor, first, **mine, verified_on="2028-01-31")) == {
            "body.verified_on": "before_survey"
        }
        assert _errors(_verify(api, visitor, first, survey_id=elsewhere)) == {"body.survey_id": "unknown_survey"}
        assert _verify(api, visitor, first, **mine).status_code == 201
        assert _verify(api, visitor, second, **mine, result="not_confirmed").status_code == 201
        assert names(state="visited") == [("Junta 1", "2028-02-29")]
        assert names(state="not_found") == [("Junta 2", "2024-02-28")]
        assert names() == [("Junta 3", "2026-01-01")]
        progress = {"organizations": 3, "visited": 1, "not_found": 1, "to_visit": 1, "overdue": 1}
        assert api.get(path, headers=visitor).json()["progress"] == progress
        assert _verify(api, visitor, second, **mine).status_code == 201
        closed = api.post(f"{path}/close", headers=registrar).json()
        assert closed["progress"] == progress | {"visited": 2, "not_found": 0, "overdue": 0}
        assert _verify(api, visitor, third, **mine).json()["type"].endswith("survey_closed")
        assert api.post(f"{path}/close", headers=registrar).status_code == 409
        town = api.post("/v1/surveys", json=body | {"areas": []}, headers=registrar).json()
        assert town["progress"]["organizations"] == 4
        assert [
            one["id"] for one in api.get("/v1/surveys", params={"open": True}, headers=visitor).json()["items"]
        ] == [town["id"]]
        assert api.get("/v1/surveys", headers=issuer.headers("ciudadania")).status_code == 403
    with clock.moved_to(NOON + timedelta(days=1)):
        _organization(api, registrar, "Nueva", "suba")
        assert api.get(path, headers=visitor).json()["progress"]["organizations"] == 3
