"""What if: deadlines worked out for whoever asks."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

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
    assert "2026-03-25" in reasons["2026-04-06"]
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
        ({"policy": {"weekdays": "0000000"}}, "body.policy.weekdays"),
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
