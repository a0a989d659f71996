"""What if: deadlines worked out for whoever asks."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tejido_requests.calendars import queries as calendars
from tejido_requests.clocks import routes
from tejido_requests.settings import jurisdiction


def test_every_worked_case_comes_out_over_http(api: TestClient, handouts: Path) -> None:
    """Sixty at most, for strangers may ask so often a minute."""
    file = json.loads((handouts / "vectors" / "deadlines.json").read_text())
    checked = 0
    for case in [case for case in file["vectors"] if case["events"] or case.get("extra_closures")][:50]:
        place = case["rule"].partition(".")[0]
        if any(f"{place}.{name}" in file["terms"] for name in ("clarify_request", "month1")) and case["events"]:
            continue  # what runs inside a request is the municipality's here, not the asker's
        body: dict[str, Any] = {name: case[name] for name in ("received_at", "events", "timezone", "policy")}
        body |= {
            "term": file["terms"][case["rule"]],
            "calendar": {"closed": file["calendars"][case["calendar"]]["closed"]},
        }
        body |= {"extra_closures": case.get("extra_closures", []), "query_at": case.get("query_at", [])}
        answer = api.post("/v1/deadlines/preview", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["computed"] == case["expected"], case["id"]
        checked += 1
    assert checked >= 10


def test_by_the_law_of_the_municipality(api: TestClient) -> None:
    body = {
        "received_at": "2026-03-20T19:30:00-05:00",
        "request_type": jurisdiction().default_request_type.code,
        "events": [
            {"kind": "pause", "at": "2026-03-25T10:00:00-05:00"},
            {"kind": "resume", "at": "2026-04-07T22:00:00-05:00"},
            {"kind": "extend", "at": "2026-04-08T10:00:00-05:00", "days": 40},
        ],
    }
    found = api.post("/v1/deadlines/preview", json=body).json()
    assert found["computed"]["citizen_due_dates"] == ["2026-04-27"]
    assert found["rejected"] == {"2": "extension_too_long"}
    ordinals = [day["ordinal"] for day in found["days"] if day["ordinal"]]
    assert ordinals == list(range(1, 16))
    reasons = {day["day"]: day["why_not"] for day in found["days"] if day["why_not"]}
    assert "25 de marzo de 2026" in reasons["2026-04-06"]
    assert "Ley 51" in reasons["2026-04-02"]
    assert any("Ley 1755" in line for line in found["text"])
    plain = api.post("/v1/deadlines/preview", json=body | {"events": [], "extra_closures": ["2026-03-31"]}).json()
    assert plain["computed"]["due_date"] == "2026-04-16"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"request_type": "nothing"}, "body.request_type"),
        ({"request_type": None}, "body.request_type"),
        ({"received_at": "2026-01-01T10:00:00"}, "body.received_at"),
        ({"timezone": "Moon/Sea"}, "body.timezone"),
        ({"received_at": "0001-01-01T00:00:00Z"}, "body.received_at"),
        ({"received_at": "9999-12-31T23:59:59-12:00"}, "body.received_at"),
        ({"policy": {"weekdays": "0000000"}}, "body.policy.weekdays"),
        ({"policy": {"receipt_rule": "roll_after_hours", "cutoff": "17:00-05:00"}}, "body.policy.cutoff"),
        ({"policy": {"cut_off": "17:00"}}, "body.policy.cut_off"),
        ({"events": [{"kind": "extend", "at": "2026-01-05T10:00:00Z"}]}, "body.events.0.days"),
        ({"events": [{"kind": "retype", "to": "nada", "at": "2026-01-05T10:00:00Z"}]}, "body.events.0.to"),
        ({"calendar": {"closed": [{"day": "x"}]}}, "body.calendar.closed"),
        ({"received_at": "2100-12-20T10:00:00Z"}, "body.received_at"),
    ],
)
def test_a_question_that_cannot_be_answered_says_which_part(
    api: TestClient, change: dict[str, Any], field: str
) -> None:
    body = {"received_at": "2026-01-02T10:00:00Z", "request_type": jurisdiction().default_request_type.code} | change
    answer = api.post("/v1/deadlines/preview", json={key: value for key, value in body.items() if value is not None})
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]], answer.json()


def test_a_type_without_a_term_that_day_is_not_an_unknown_one(api: TestClient) -> None:
    def wrong(**body: str) -> list[tuple[str, str]]:
        answer = api.post("/v1/deadlines/preview", json={"received_at": "2026-01-02T10:00:00Z"} | body)
        return [(error["field"], error["code"]) for error in answer.json()["errors"]]

    typed = next(kind.code for kind in jurisdiction().request_types if kind.due_date == "typed")
    early = {"received_at": "2001-01-02T10:00:00Z", "request_type": jurisdiction().default_request_type.code}
    assert wrong(request_type=typed) == wrong(**early) == [("body.request_type", "no_term")]
    assert wrong(request_type="nada") == [("body.request_type", "unknown_request_type")]


INLINE: dict[str, Any] = {
    "received_at": "2026-03-20T10:00:00-05:00",
    "term": {"unit": "business_days", "n": 3},
    "calendar": {"closed": ["2026-03-24"]},
}


def test_a_term_of_the_askers_own_is_not_told_as_a_date_somebody_set(api: TestClient) -> None:
    found = api.post("/v1/deadlines/preview", json=INLINE).json()
    assert found["text"][1] == "Plazo: 3 días hábiles."
    assert {day["day"]: day["why_not"] for day in found["days"]}["2026-03-24"] == "día de cierre"


def test_other_days_of_the_week_count_with_the_municipalitys_closures_too(api: TestClient) -> None:
    body = {"received_at": "2026-03-20T10:00:00-05:00", "request_type": jurisdiction().default_request_type.code}
    found = api.post("/v1/deadlines/preview", json=body | {"policy": {"weekdays": "1111110"}}).json()
    assert found["computed"]["first_counted_day"] == "2026-03-21"
    assert found["computed"]["due_date"] == "2026-04-10"  # the Monday of San José and two holy days between


def test_the_citizens_time_is_told_only_where_it_is_months(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = jurisdiction()
    complete = pack.procedure.complete
    assert complete
    days = pack.procedure.model_copy(
        update={"complete": complete.model_copy(update={"unit": "business_days", "n": 10})}
    )
    monkeypatch.setattr(routes, "jurisdiction", lambda: pack.model_copy(update={"procedure": days}))
    body: dict[str, Any] = {"received_at": "2026-03-20T10:00:00-05:00", "request_type": pack.default_request_type.code}
    body |= {"events": [{"kind": "pause", "at": "2026-03-25T10:00:00-05:00"}]}
    assert "citizen_due_dates" not in api.post("/v1/deadlines/preview", json=body).json()["computed"]


def test_strangers_neither_fill_the_memory_nor_keep_a_core_busy(api: TestClient) -> None:
    day = {"unit": "business_days", "n": 5}
    api.post("/v1/deadlines/preview", json={"received_at": INLINE["received_at"], "term": day})
    kept = len(calendars._calendars)
    for place in range(5):
        body = {"received_at": INLINE["received_at"], "request_type": f"x{place}"}
        assert api.post("/v1/deadlines/preview", json=body).status_code == 422
        assert api.post("/v1/deadlines/preview", json=body | {"terms": {f"x{place}": day}}).status_code == 200
    assert len(calendars._calendars) == kept
    century = [{"kind": "pause", "at": "2026-03-23T10:00:00Z"}, {"kind": "resume", "at": "2099-01-03T10:00:00Z"}]
    decrees = [{"kind": "holiday_added", "at": "2026-03-23T10:00:00Z", "dates": ["2026-03-25"]}] * 11
    every_week = {"term": {"unit": "business_days", "n": 1000}, "policy": {"weekdays": "1000000"}}
    for body, field in (({"events": century}, "events"), ({"events": decrees}, "events"), (every_week, "term.n")):
        (wrong,) = api.post("/v1/deadlines/preview", json=INLINE | body).json()["errors"]
        assert (wrong["field"], wrong["code"]) == (f"body.{field}", "preview_too_long")
        assert "3660 días" in wrong["reason"]
