"""GeoReport v2 over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_requests import settings as service
from tejido_requests.app import create_app
from tejido_requests.db import tx
from tejido_requests.models import ServiceRequest
from tejido_requests.settings import jurisdiction
from tejido_shared import clock
from tejido_shared.auth import RateLimit
from tejido_shared.db import Database
from tejido_shared.testing import Issuer

V2 = "/open311/v2"
LISTS = ("services", "attributes", "values", "service_requests", "errors", "endpoints", "formats")
WHO = {"first_name": "Ana", "last_name": "Niño", "email": "ana@example.org", "phone": "3005550100"}
POINT = {"lat": "4.598765", "long": "-74.081234"}
FRIDAY = datetime(2026, 3, 27, 23, 30, tzinfo=UTC)
"""18:30 in Bogotá, before Holy Week."""


@pytest.fixture
def office(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("administracion", sub="administradora-1")


def _file(api: TestClient, headers: dict[str, str] | None = None, /, **fields: str) -> dict[str, Any]:
    form = {"service_code": "general_interest_petition", "description": "Hay un bache", **POINT} | fields
    answer = api.post(f"{V2}/requests.json", data=form, headers=headers)
    assert answer.status_code == 201, answer.text
    (filed,) = answer.json()
    return dict(filed)


def _listed(api: TestClient, **asked: Any) -> list[dict[str, Any]]:
    answer = api.get(f"{V2}/requests.json", params=asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def _numbers(api: TestClient, **asked: Any) -> list[str]:
    return [one["service_request_id"] for one in _listed(api, **asked)]


def _stored(number: str) -> ServiceRequest:
    with tx() as session:
        return session.scalars(sa.select(ServiceRequest).where(ServiceRequest.number == number)).one()


def _change(number: str, **values: Any) -> None:
    with tx() as session:
        session.execute(sa.update(ServiceRequest).where(ServiceRequest.number == number).values(**values))


def _plain(element: ET.Element) -> Any:
    """What the XML says, as the JSON says it: the Spark convention."""
    if element.tag in LISTS:
        return [_plain(child) for child in element]
    if len(element):
        return {child.tag: _plain(child) for child in element}
    return element.text


def _text(value: Any) -> Any:
    """JSON as XML can say it."""
    if isinstance(value, dict):
        return {name: _text(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_text(one) for one in value]
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def test_a_petition_makes_the_round(api: TestClient, office: dict[str, str]) -> None:
    with clock.moved_to(FRIDAY):
        filed = _file(
            api, service_code="complaint", **WHO, address_string="Calle Falsa 1", address_id="chapinero",
            media_url="https://example.org/foto.jpg", api_key="x", device_id="y", account_id="z", jurisdiction_id="co-bogota",
            **{"attribute[against]": "La ventanilla 3", "attribute[happened_on]": "2026-03-26T10:00:00-05:00"},
        )  # fmt: skip
    assert filed["account_id"] is None
    assert "15 días hábiles" in filed["service_notice"]
    assert "21 de abril de 2026" in filed["service_notice"]
    number = filed["service_request_id"]
    followed = api.get(f"/v1/tracking/{number}", headers={"Tracking-Code": filed["tracking_code"]})
    assert followed.json()["clock"]["due_date"] == "2026-04-21"
    stored = _stored(number)
    seen = api.get(f"/v1/service-requests/{stored.id}", headers=office).json()
    assert (seen["subject"], seen["channel"], seen["area"]) == ("Hay un bache", "open311", "chapinero")
    assert (seen["latitude"], seen["longitude"], seen["place_address"]) == (4.598765, -74.081234, "Calle Falsa 1")
    assert seen["answers"] == {"against": "La ventanilla 3", "happened_on": "2026-03-26"}
    assert seen["attachments"] == ["https://example.org/foto.jpg"]
    assert seen["petitioner"]["name"] == "Ana Niño"
    assert [one["status"] for one in seen["clocks"] if one["clock"] == "acknowledgement"] == ["stopped"]
    with clock.moved_to(FRIDAY + timedelta(days=1)):
        (shown,) = _listed(api)
    assert shown["expected_datetime"] == "2026-04-21T23:59:59-05:00"
    assert timedelta() <= stored.received_at - FRIDAY < timedelta(minutes=1)  # the clock goes on while it is filed
    received = stored.received_at.astimezone(jurisdiction().zone).replace(microsecond=0)
    assert shown["requested_datetime"] == received.isoformat()
    assert (shown["status"], shown["service_code"], shown["description"]) == ("open", "complaint", None)
    assert (shown["lat"], shown["long"], shown["address_id"]) == (4.599, -74.081, "chapinero")
    desk = f"/v1/service-requests/{stored.id}"
    with clock.moved_to(FRIDAY + timedelta(days=3)):
        assert api.post(f"{desk}/answer", json={"text": "Se arregló."}, headers=office).status_code == 200
    with clock.moved_to(FRIDAY + timedelta(days=4)):
        proof = {"notified_at": (FRIDAY + timedelta(days=4)).isoformat(), "evidence": "Acta 1"}
        assert api.post(f"{desk}/notification", json=proof, headers=office).status_code == 200
        (closed,) = _listed(api)
    assert (closed["status"], closed["updated_datetime"]) == ("closed", "2026-03-31T18:30:00-05:00")
    assert "arregló" not in str(closed)
    assert shown["agency_responsible"] == service.jurisdiction().office(stored.office).name


def test_who_gives_little_is_heard(api: TestClient) -> None:
    """A petition is not refused for lacking a name, a place, a text, or what its type asks."""
    bare = api.post(f"{V2}/requests.json", data={"service_code": "personal_data_claim", "description": "  "}).json()[0]
    stored = _stored(bare["service_request_id"])
    assert (stored.anonymous, stored.subject) == (True, "Reclamo de datos personales")
    reachable = _stored(_file(api, email="eva@example.org")["service_request_id"])
    assert (reachable.petitioner_name, reachable.petitioner_email) == ("eva@example.org", "eva@example.org")


def test_discovery_names_the_endpoint(api: TestClient) -> None:
    found = api.get("/open311/discovery.json").json()
    (endpoint,) = found["endpoints"]
    assert endpoint["specification"] == "http://wiki.open311.org/GeoReport_v2"
    assert endpoint["url"].endswith("/open311/v2")
    assert endpoint["formats"] == ["text/xml", "application/json"]
    assert found["changeset"] >= "2020"


def test_services_are_the_types_that_anyone_may_file(api: TestClient) -> None:
    services = {one["service_code"]: one for one in api.get(f"{V2}/services.json").json()}
    assert "congress_report" not in services
    assert "oversight_request" not in services
    assert services["complaint"] == {
        "service_code": "complaint",
        "service_name": "Queja",
        "description": "Inconformidad con la conducta de un servidor público.",
        "metadata": True,
        "type": "realtime",
        "keywords": "queja, mala atención, maltrato, servidor público",
        "group": "Quejas, reclamos y denuncias",
    }
    assert services["suggestion"]["metadata"] is False
    for code, one in services.items():
        attributes = api.get(f"{V2}/services/{code}.json").json()["attributes"]
        assert bool(attributes) is one["metadata"]
        assert [attribute["order"] for attribute in attributes] == list(range(1, len(attributes) + 1))
        assert not any(attribute["required"] for attribute in attributes)
    claim = api.get(f"{V2}/services/personal_data_claim.json").json()["attributes"][0]
    assert claim["datatype"] == "singlevaluelist"
    assert {"key": "Corregir", "name": "Corregir"} in claim["values"]
    assert api.get(f"{V2}/services/complaint.json").json()["attributes"][1]["datatype"] == "datetime"


def test_xml_says_what_json_says(api: TestClient) -> None:
    number = _file(api, **WHO)["service_request_id"]
    for path in (
        *("/open311/discovery", f"{V2}/services", f"{V2}/services/information", f"{V2}/services/suggestion"),
        *(
            f"{V2}/requests",
            f"{V2}/requests/{number}",
            f"{V2}/requests/NADA-1",
            f"{V2}/services/nada",
            f"{V2}/tokens/1",
        ),
    ):
        asked = {"extensions": "true"}
        in_json, in_xml = api.get(f"{path}.json", params=asked), api.get(f"{path}.xml", params=asked)
        assert in_json.headers["content-type"] == "application/json; charset=utf-8"
        assert in_xml.headers["content-type"] == "text/xml; charset=utf-8"
        assert in_xml.content.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
        assert in_xml.headers["access-control-allow-origin"] == "*"
        assert in_json.status_code == in_xml.status_code
        said = ET.fromstring(in_xml.content)
        assert _plain(said) == _text(in_json.json()), path
    filed = api.post(f"{V2}/requests.xml", data={"service_code": "claim"})
    said = ET.fromstring(filed.content)
    assert said.tag == "service_requests"
    assert said[0].tag == "request"
    assert said[0].findtext("tracking_code")


def test_nothing_personal_is_read_without_the_code(api: TestClient) -> None:
    filed = _file(
        api, description="Me llamo Segismunda y vivo ahí", address_string="Carrera Secreta 7", media_url="https://example.org/segis",
        service_code="claim", **WHO, **{"attribute[service]": "El de Segismunda"},
    )  # fmt: skip
    number = filed["service_request_id"]
    secrets = (
        *("segis", "secreta", "niño", "ana@", "3005550100", "4.5987", "74.0812", filed["tracking_code"].lower()),
    )
    for path in ("/open311/discovery", f"{V2}/services", f"{V2}/requests", f"{V2}/requests/{number}"):
        for how in ("json", "xml"):
            answer = api.get(f"{path}.{how}", params={"extensions": "true"})
            assert answer.status_code == 200
            said = answer.content.decode().lower()
            assert not [secret for secret in secrets if secret in said], path


def test_what_is_not_published_looks_like_what_is_not_there(api: TestClient) -> None:
    elsewhere = api.post(
        "/v1/service-requests", json={"subject": "Un bache", "place": {"latitude": 4.6, "longitude": -74.08}}
    ).json()["number"]
    placeless = api.post(f"{V2}/requests.json", data={"service_code": "claim"}).json()[0]["service_request_id"]
    whistle = _file(api, service_code="corruption_report")
    assert "lista pública" not in whistle["service_notice"]
    hidden = [elsewhere, placeless, whistle["service_request_id"]]
    for change in (
        *({"confidential": True}, {"minor": True}, {"parent_id": uuid4()}, {"reopens_id": uuid4()}),
        *({"tombstoned_at": FRIDAY}, {"request_type": "corruption_report"}),
    ):
        hidden.append(_file(api)["service_request_id"])
        _change(hidden[-1], **change)
    shown = _file(api)["service_request_id"]
    assert _numbers(api) == [shown]
    assert _numbers(api, service_request_id=",".join([*hidden, shown])) == [shown]
    unknown = api.get(f"{V2}/requests/BOG-2026-999999-00.json")
    for number in hidden:
        answer = api.get(f"{V2}/requests/{number}.json")
        assert (answer.status_code, answer.json()) == (404, unknown.json())
    assert api.get(f"{V2}/requests/{quote(',')}.json").status_code == 404


def test_filters(api: TestClient) -> None:
    with clock.moved_to(FRIDAY - timedelta(days=100)):
        oldest = _file(api)["service_request_id"]
    with clock.moved_to(FRIDAY - timedelta(days=1)):
        older = _file(api, service_code="claim")["service_request_id"]
    with clock.moved_to(FRIDAY):
        newest = _file(api)["service_request_id"]
    _change(older, status="notified", closed_at=FRIDAY, notified_at=FRIDAY)
    with clock.moved_to(FRIDAY + timedelta(hours=1)):
        assert _numbers(api) == [newest, older]
        assert _numbers(api, status="open") == [newest]
        assert _numbers(api, status="open,closed") == [newest, older]
        assert _numbers(api, service_code="claim,complaint", status="") == [older]
        assert _numbers(api, start_date="2025-12-01T00:00:00Z", end_date="2025-12-31T00:00:00Z") == [oldest]
        assert _numbers(api, end_date=(FRIDAY - timedelta(hours=1)).isoformat()) == [older]
        assert _numbers(api, start_date="2025-12-01T00:00:00Z") == [oldest]
        assert _numbers(api, service_request_id=f"{oldest.lower()},NADA", status="closed") == [oldest]
        assert _numbers(api, page_size=1) == [newest]
        assert _numbers(api, page_size=1, page=2) == [older]
        assert _numbers(api, page_size=1, page=3) == []
        # An offset whose + was not escaped.
        assert api.get(f"{V2}/requests.json?start_date=2026-03-27T23:00:00+00:00").json()[0]["status"] == "open"
        (closed,) = _listed(api, status="closed", extensions="true")
    assert closed["updated_datetime"] == "2026-03-27T18:30:00-05:00"
    assert closed["extended_attributes"]["closed_datetime"] == "2026-03-27T18:30:00-05:00"
    assert closed["extended_attributes"]["detailed_status"] == "notified"
    assert closed["status_notes"] == "Respondida y notificada."
    # By when it was recorded, however long ago it was filed.
    recently = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    with clock.moved_to(datetime.now(UTC)):
        assert set(_numbers(api, updated_after=recently)) == {oldest, older, newest}
        assert _numbers(api, updated_after=(datetime.now(UTC) + timedelta(minutes=5)).isoformat()) == []


def test_every_status_has_its_words(api: TestClient) -> None:
    number = _file(api)["service_request_id"]
    for status in ("received", "paused", "answered", "notified", "withdrawn", "transferred", "split", "merged"):
        _change(number, status=status)
        for language in ("es", "en"):
            answer = api.get(f"{V2}/requests/{number}.json", headers={"Accept-Language": language})
            assert not answer.json()[0]["status_notes"].startswith("open311.")


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        ("services.json?jurisdiction_id=sfgov.org", 404, "jurisdiction_id"),
        ("services/nada.json", 404, "service_code"),
        ("services/congress_report.json", 404, "service_code"),
        ("services.csv", 400, "how"),
        ("tokens/123.json", 404, "token"),
        ("requests.json?status=solved", 400, "status"),
        ("requests.json?start_date=2026-01-01", 400, "start_date"),
        ("requests.json?start_date=0001-01-01T00:00:00Z", 400, "start_date"),
        ("requests.json?start_date=2026-01-01T00:00:00Z&end_date=2026-12-01T00:00:00Z", 400, "end_date"),
        ("requests.json?updated_after=2020-01-01T00:00:00Z", 400, "updated_after"),
        ("requests.json?page=0", 400, "page"),
        ("requests.json?service_request_id=a%00b", 400, "service_request_id"),
        ("requests/a%00b.json", 400, "number"),
    ],
)
def test_a_wrong_question(api: TestClient, path: str, status: int, named: str) -> None:
    answer = api.get(f"{V2}/{path}")
    assert answer.status_code == status, answer.text
    if path.endswith(".csv"):
        assert ET.fromstring(answer.content).findtext("error/code") == "400"
        return
    (error,) = answer.json()
    assert error["code"] == status
    assert error["description"].startswith(named)


@pytest.mark.parametrize(
    ("form", "status", "named"),
    [
        ({"service_code": ""}, 400, "service_code"),
        ({"service_code": "nada"}, 404, "service_code"),
        ({"service_code": "congress_report"}, 404, "service_code"),
        ({"jurisdiction_id": "sfgov.org"}, 404, "jurisdiction_id"),
        ({"long": ""}, 400, "long"),
        ({"lat": "91"}, 400, "lat"),
        ({"lat": "nan"}, 400, "lat"),
        ({"address_id": "atlantis"}, 400, "address_id"),
        ({"email": "nadie"}, 400, "email"),
        ({"media_url": "javascript:alert(1)"}, 400, "media_url"),
        ({"first_name": "a\x00b"}, 400, "first_name"),
        ({"attribute[nada]": "x"}, 400, "attribute[nada]"),
        ({"service_code": "complaint", "attribute[happened_on]": "ayer"}, 400, "attribute[happened_on]"),
        ({"service_code": "information", "attribute[format]": "Fax"}, 400, "attribute[format]"),
    ],
)
def test_a_wrong_form(api: TestClient, form: dict[str, str], status: int, named: str) -> None:
    whole = {"service_code": "claim", **POINT} | form
    answer = api.post(f"{V2}/requests.json", data=whole)
    assert (answer.status_code, answer.json()[0]["code"]) == (status, status), answer.text
    assert answer.json()[0]["description"].startswith(f"{named}: ")
    english = api.post(f"{V2}/requests.xml", data=whole, headers={"Accept-Language": "en"})
    errors = ET.fromstring(english.content)
    assert errors.findtext("error/description") != answer.json()[0]["description"]
    assert _numbers(api) == []


def test_hostile_text(api: TestClient) -> None:
    hostile = "<script>&amp;]]>\U0001f4a5'\";--\r\nñ"
    number = _file(api, description=hostile, last_name="<b>&")["service_request_id"]
    stored = _stored(number)
    assert (stored.subject, stored.petitioner_name) == (hostile, "<b>&")
    for name in ("attribute[<x>&\U0001f4a5]", "attribute[a\x01b\ufffe]"):
        answer = api.post(f"{V2}/requests.xml", data={"service_code": "claim", name: "x"})
        assert answer.status_code == 400
        (error,) = ET.fromstring(answer.content)
        assert (error.findtext("description") or "").startswith("attribute[")
    for body in (b"service_code=claim&description=%FF", b"\xff\xfe", b"a=1&" * 500):
        answer = api.post(
            f"{V2}/requests.json", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert (answer.status_code, answer.json()[0]["code"]) == (400, 400)
    (error,) = api.post(f"{V2}/requests.json", json={"service_code": "claim"}).json()
    assert (error["code"], "form-urlencoded" in error["description"]) == (415, True)
    assert api.post(f"{V2}/requests.json", data={"description": "x" * 2_000_000}).status_code == 413


def test_the_same_form_twice_is_filed_once(api: TestClient) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first = _file(api, key)
    assert _file(api, key) == first
    assert _numbers(api) == [first["service_request_id"]]
    other = api.post(f"{V2}/requests.json", data={"service_code": "claim"}, headers=key)
    assert (other.status_code, other.json()[0]["description"].partition(":")[0]) == (400, "Idempotency-Key")


def test_strangers_are_limited(databases: dict[str, Database]) -> None:
    app = create_app()
    app.state.rate_limit = RateLimit("3/minute")
    with TestClient(app) as api:
        for _ in range(3):
            assert api.post(f"{V2}/requests.xml", data={"service_code": "claim"}).status_code == 201
        answer = api.post(f"{V2}/requests.xml", data={"service_code": "claim"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert ET.fromstring(answer.content).findtext("error/code") == "429"
