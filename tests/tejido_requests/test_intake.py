"""Filing: every field of a request, the batch of an itinerant desk, and the receipt on paper."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pypdfium2  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_requests.db import database, tx
from tejido_requests.desk import service as desk
from tejido_requests.events import HANDLERS
from tejido_requests.models import AccessRecord, ServiceRequest
from tejido_requests.settings import jurisdiction, settings
from tejido_shared import clock
from tejido_shared.contracts import OrganizationChanged, envelope_of
from tejido_shared.inbox import receive
from tejido_shared.jurisdiction import parse_receipt_number
from tejido_shared.testing import Issuer

OFFICE = "atencion-ciudadania"
ROSA = {
    "name": "Rosa Díaz",
    "identification": "CC 52.000.001",
    "address": "Calle 1 # 2-3",
    "representative_name": "Luis Peña",
}


def _whole() -> dict[str, Any]:
    """Everything a request may bring."""
    return {
        "subject": "Poda de árboles",
        "reasons": "Riesgo de caída",
        "petitioner": ROSA,
        "attachments": ["Foto", "Carta"],
        "organization_id": str(uuid4()),
        "project_id": str(uuid4()),
        "language": "es",
        "addressees": ["Secretaría de Ambiente", "Personería"],
        "place": {
            "address": "Carrera 7 # 8-9",
            "area": jurisdiction().areas[0].code,
            "latitude": 4.6,
            "longitude": -74.1,
        },
        "confidential": False,
        "minor": True,
        "priority": True,
        "priority_reason": "Salud",
    }


def _errors(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


@pytest.mark.parametrize("path", ["/v1/service-requests", "/v1/service-requests/verbal"])
def test_every_field_arrives(api: TestClient, officer: dict[str, str], path: str) -> None:
    kind = next(kind for kind in jurisdiction().request_types if kind.code == "complaint")
    said = _whole() | {
        "request_type": kind.code,
        "answers": {"against": "Ventanilla 3", "happened_on": "2026-11-01"},
        "missing": "Copia del contrato",
    }
    filed = api.post(path, json=said, headers=officer)
    assert filed.status_code == 201, filed.text
    receipt = filed.json()
    assert receipt["tracking_url"] == settings().common.tracking_url(receipt["number"])
    assert receipt["tracking_code"] not in receipt["tracking_url"]
    assert receipt["clock"]["legal"] is True
    assert receipt["missing_fields"] == []
    seen = api.get(f"/v1/service-requests/{receipt['id']}", headers=officer).json()
    place = said.pop("place")
    assert (seen["place_address"], seen["area"]) == (place["address"], place["area"])
    assert (seen["latitude"], seen["longitude"]) == (place["latitude"], place["longitude"])
    assert (seen["missing_at_receipt"], seen["answers"]) == (said.pop("missing"), said.pop("answers"))
    assert said.pop("petitioner").items() <= seen["petitioner"].items()
    assert said.pop("language") == "es"
    assert said.items() <= seen.items()


@pytest.mark.parametrize(
    ("said", "field", "code"),
    [
        ({"place": {"latitude": 4.6}}, "body.place.longitude", "point_incomplete"),
        ({"place": {"latitude": 94, "longitude": 0}}, "body.place.latitude", "less_than_equal"),
        ({"place": {"area": "nowhere"}}, "body.place.area", "unknown_area"),
        ({"request_type": "nonsense"}, "body.request_type", "unknown_request_type"),
        ({"request_type": "complaint", "answers": {"x": "y"}}, "body.answers.x", "unknown_field"),
        (
            {"request_type": "complaint", "answers": {"happened_on": "ayer"}},
            "body.answers.happened_on",
            "not_a_date",
        ),
        ({"request_type": "complaint", "answers": {"against": 3}}, "body.answers.against", "not_a_text"),
        ({"request_type": "data_protection", "answers": {"action": "Otra"}}, "body.answers.action", "unknown_choice"),
        ({"request_type": "authorities"}, "body.request_type", "only_authorities"),
        ({"channel": "letter"}, "body.channel", "only_officers"),
        ({"missing": "x"}, "body.missing", "only_officers"),
        ({"addressees": ["x"] * 51}, "body.addressees", "too_long"),
        ({"organization_id": "x"}, "body.organization_id", "uuid_parsing"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(api: TestClient, said: dict[str, Any], field: str, code: str) -> None:
    kinds = jurisdiction().request_types
    stands_for = {
        "data_protection": next(k.code for k in kinds if any(f.code == "action" for f in k.fields)),
        "authorities": next(k.code for k in kinds if k.filed_by == "authorities" and k.due_date == "computed"),
    }
    said = said | {"request_type": stands_for.get(said.get("request_type", ""), said.get("request_type"))}
    assert _errors(api.post("/v1/service-requests", json={"subject": "x"} | said)) == [(field, code)]
    english = api.post("/v1/service-requests", json={"subject": "x"} | said, headers={"Accept-Language": "en"}).json()
    assert english["errors"][0]["reason"] not in ("", code)


def test_officers_file_for_authorities_and_by_channels_that_fit(api: TestClient, officer: dict[str, str]) -> None:
    kind = next(
        kind for kind in jurisdiction().request_types if kind.filed_by == "authorities" and kind.due_date == "computed"
    )
    body = {"subject": "x", "request_type": kind.code, "channel": "mail"}
    assert api.post("/v1/service-requests", json=body, headers=officer).status_code == 201
    spoken = {"subject": "x", "reasons": "y", "petitioner": ROSA}
    for channel, code in (("mail", "channel_not_verbal"), ("nothing", "unknown_channel")):
        answer = api.post("/v1/service-requests/verbal", json=spoken | {"channel": channel}, headers=officer)
        assert _errors(answer) == [("body.channel", code)]


def test_who_speaks_without_a_name_says_so(api: TestClient, officer: dict[str, str]) -> None:
    path, spoken = "/v1/service-requests/verbal", {"subject": "Cobran por entrar", "reasons": "Lo vi"}
    assert _errors(api.post(path, json=spoken, headers=officer)) == [("body.petitioner", "petitioner_needed")]
    both = spoken | {"anonymous": True, "petitioner": ROSA}
    assert _errors(api.post(path, json=both, headers=officer)) == [("body.petitioner", "anonymous_petitioner")]
    no_address = spoken | {"petitioner": {"name": "Rosa", "identification": "1"}}
    assert _errors(api.post(path, json=no_address, headers=officer)) == [("body.petitioner", "address_needed")]
    nobody = spoken | {"petitioner": {"name": "Rosa", "address": "Calle 1"}}
    assert _errors(api.post(path, json=nobody, headers=officer)) == [("body.petitioner.identification", "missing")]
    filed = api.post(path, json=spoken | {"anonymous": True}, headers=officer)
    assert filed.status_code == 201, filed.text
    receipt = filed.json()
    assert (receipt["anonymous"], receipt["verbal"], len(receipt["tracking_code"])) == (True, True, 10)
    seen = api.get(f"/v1/service-requests/{receipt['id']}", headers=officer).json()
    assert (seen["anonymous"], seen["petitioner"], seen["verbal"]) == (True, None, True)
    code = {"Tracking-Code": receipt["tracking_code"]}
    text = _text(api.get(f"/v1/tracking/{receipt['number']}/receipt.pdf", headers=code))
    for said in ("Solicitud anónima", "de manera verbal", receipt["tracking_code"], "Lo vi", "funcionaria-1"):
        assert said in text, said
    item = _offline(5, verbal=True, reasons="x", anonymous=True)
    (first,), (again,) = _upload(api, officer, [item]), _upload(api, officer, [item])
    assert (first["outcome"], again["outcome"]) == ("filed", "repeated")
    assert first["receipt"]["anonymous"] is True


def test_what_a_type_asks_and_was_left_out_is_listed_and_filed(api: TestClient) -> None:
    kind, asked = next(
        (kind, field)
        for kind in jurisdiction().request_types
        for field in kind.fields
        if field.required and kind.filed_by == "anyone"
    )
    body = {"subject": "x", "request_type": kind.code}
    receipt = api.post("/v1/service-requests", json=body).json()
    assert receipt["missing_fields"] == [{"code": asked.code, "name": asked.name}]
    said = body | {"answers": {asked.code: asked.choices[0]}}
    assert api.post("/v1/service-requests", json=said).json()["missing_fields"] == []
    empty = api.post("/v1/service-requests", json=body | {"answers": {asked.code: " "}}).json()
    assert empty["missing_fields"] == receipt["missing_fields"]


# --- The batch ---------------------------------------------------------------------------------------------------------------


def _offline(minutes_ago: float, **changes: Any) -> dict[str, Any]:
    received = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return {"key": str(uuid4()), "subject": f"Hace {minutes_ago}", "received_at": received.isoformat()} | changes


def _upload(api: TestClient, headers: dict[str, str], items: list[Any], **more: Any) -> list[dict[str, Any]]:
    answer = api.post("/v1/service-requests/batch", json={"items": items} | more, headers=headers)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def _sequence(item: dict[str, Any]) -> int:
    return parse_receipt_number(jurisdiction().receipt_pattern, item["receipt"]["number"]).sequence


def _count() -> int:
    with tx() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(ServiceRequest)) or 0


def test_a_batch_is_numbered_in_order_of_receipt_and_keeps_its_instants(
    api: TestClient, officer: dict[str, str]
) -> None:
    verbal = _offline(90, verbal=True, reasons="Porque sí", petitioner=ROSA)
    items = [_offline(60), verbal, _offline(60 * 24 * 3), _offline(5, channel="letter")]
    done = _upload(api, officer, items)
    assert [item["outcome"] for item in done] == ["filed"] * 4
    assert [item["key"] for item in done] == [item["key"] for item in items]
    assert [_sequence(item) for item in done] == [3, 2, 1, 4]
    for item, sent in zip(done, items, strict=True):
        seen = api.get(f"/v1/service-requests/{item['receipt']['id']}", headers=officer).json()
        assert datetime.fromisoformat(seen["received_at"]) == datetime.fromisoformat(sent["received_at"])
        assert seen["channel"] == sent.get("channel", "itinerant_desk")
        assert seen["received_by"] == "funcionaria-1"
        assert seen["verbal"] is (sent is verbal)
    assert done[1]["receipt"]["received_by"] == "funcionaria-1"
    (taken,) = _upload(api, officer, [verbal | {"key": str(uuid4()), "received_by_name": "Ana Rincón"}])
    assert taken["receipt"]["received_by"] == "Ana Rincón"  # the law asks for who received it, not who uploads
    assert "Ana Rincón" in _text(api.get(f"/v1/service-requests/{taken['receipt']['id']}/receipt.pdf", headers=officer))


def test_a_batch_may_be_sent_again_in_whole_or_in_part_in_any_order(
    api: TestClient, issuer: Issuer, officer: dict[str, str]
) -> None:
    items = [_offline(turn) for turn in range(1, 7)]
    first = _upload(api, officer, items[:4])
    again = _upload(api, officer, items[::-1])
    assert [item["outcome"] for item in again] == ["filed"] * 2 + ["repeated"] * 4
    before = {item["key"]: item["receipt"] for item in first}
    assert {item["key"]: item["receipt"] for item in again if item["outcome"] == "repeated"} == before
    # Another official of the same desk, long after: the answer had been lost.
    colleague = issuer.headers(f"funcionario:{OFFICE}", sub="funcionaria-2")
    with clock.moved_to(datetime.now(UTC) + timedelta(days=30)):
        later = _upload(api, colleague, items)
    assert {item["outcome"] for item in later} == {"repeated"}
    assert [item["receipt"]["tracking_code"] for item in later[:4]] == [
        item["receipt"]["tracking_code"] for item in first
    ]
    # Another desk's keys are its own.
    elsewhere = _upload(api, issuer.headers("funcionario:otra-oficina"), items[:1])
    assert elsewhere[0]["outcome"] == "filed"
    assert elsewhere[0]["receipt"]["id"] != first[0]["receipt"]["id"]
    assert _count() == 7


def test_the_same_batch_twice_at_once_files_once(api: TestClient, officer: dict[str, str]) -> None:
    items = [_offline(turn) for turn in range(1, 6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: _upload(api, officer, items), range(6)))
    assert _count() == 5
    assert len({str([item["receipt"]["number"] for item in answer]) for answer in answers}) == 1
    assert sum(item["outcome"] == "filed" for answer in answers for item in answer) == 5
    assert sorted(map(_sequence, answers[0])) == [1, 2, 3, 4, 5]


def test_a_wrong_item_holds_up_no_other(api: TestClient, officer: dict[str, str]) -> None:
    good = _offline(10)
    future = _offline(-10)
    twice = good | {"subject": "Otra cosa"}
    spoken = _offline(3, verbal=True, reasons="x", petitioner={"name": "Rosa", "identification": "1"})
    wrong = _offline(20, request_type="nonsense")
    items: list[Any] = [
        wrong,
        good,
        future,
        {"subject": "x"},
        "nothing",
        spoken,
        _offline(5, channel="nothing"),
        _offline(5, nope=1, place={"latitude": 1000}),
    ]
    done = _upload(api, officer, items)
    assert [item["outcome"] for item in done] == ["refused", "filed", *["refused"] * 6]

    def said(place: int) -> set[tuple[str, str]]:
        assert all(error["reason"] for error in done[place]["errors"])
        return {(error["field"].removeprefix(f"body.items.{place}"), error["code"]) for error in done[place]["errors"]}

    assert said(0) == {(".request_type", "unknown_request_type")}
    assert said(2) == {(".received_at", "received_in_future")}
    assert said(3) == {(".key", "missing"), (".received_at", "missing")}
    assert said(4) == {("", "model_type")}
    assert said(5) == {(".petitioner", "address_needed")}
    assert said(6) == {(".channel", "unknown_channel")}
    assert said(7) == {(".nope", "extra_forbidden"), (".place.latitude", "less_than_equal")}
    assert done[3]["key"] is None
    assert done[0]["key"] == wrong["key"]
    assert _count() == 1
    for else_ in (twice, good | {"petitioner": ROSA}, good | {"reasons": "Otras"}):
        (other,) = _upload(api, officer, [else_])
        assert [(error["field"], error["code"]) for error in other["errors"]] == [("body.items.0.key", "key_reused")]
    # Corrected, it is filed under the key it had.
    mended = _upload(api, officer, [wrong | {"request_type": "complaint"}])
    assert (mended[0]["outcome"], _sequence(mended[0])) == ("filed", 2)


def test_who_may_upload_and_how_much(api: TestClient, issuer: Issuer, officer: dict[str, str]) -> None:
    path, body = "/v1/service-requests/batch", {"items": [_offline(1)]}
    assert api.post(path, json=body).status_code == 401
    assert api.post(path, json=body, headers=issuer.headers("ciudadania")).status_code == 403
    assert _errors(api.post(path, json={"items": []}, headers=officer)) == [("body.items", "too_short")]
    many: dict[str, Any] = {"items": [{}] * 201}
    assert _errors(api.post(path, json=many, headers=officer)) == [("body.items", "too_long")]
    assert _errors(api.post(path, json=body | {"desk": "otra-oficina"}, headers=officer)) == [
        ("body.desk", "not_your_desk")
    ]
    both = issuer.headers(f"funcionario:{OFFICE}", "funcionario:otra-oficina")
    assert _errors(api.post(path, json=body, headers=both)) == [("body.desk", "desk_needed")]
    assert api.post(path, json=body | {"desk": OFFICE}, headers=both).status_code == 200
    long = [_offline(1, subject="x" * 19_000) for _ in range(200)]  # 3.8 MB
    assert {item["outcome"] for item in _upload(api, officer, long)} == {"filed"}


# --- On paper ----------------------------------------------------------------------------------------------------------------


def _text(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("attachment;")
    pages = pypdfium2.PdfDocument(answer.content)
    return " ".join(" ".join(page.get_textpage().get_text_range() for page in pages).split())


def test_the_receipt_on_paper_says_what_the_law_asks(api: TestClient, officer: dict[str, str]) -> None:
    with clock.moved_to(datetime(2026, 3, 27, 23, 30, tzinfo=UTC)):
        said = _whole() | {"missing": "Copia del contrato\nPlano"}
        receipt = api.post("/v1/service-requests/verbal", json=said, headers=officer).json()
    code = {"Tracking-Code": receipt["tracking_code"]}
    for path, headers in (
        (f"/v1/service-requests/{receipt['id']}/receipt.pdf", officer),
        (f"/v1/tracking/{receipt['number']}/receipt.pdf", code),
    ):
        text = _text(api.get(path, headers=headers))
        for expected in (
            *(receipt["number"], receipt["tracking_code"], "21 de abril de 2026", "15 días hábiles", "18:30"),
            *("Rosa Díaz", "CC 52.000.001", "Calle 1 # 2-3", "Luis Peña", "Poda de árboles", "Riesgo de caída"),
            *("Foto", "Carta", "Secretaría de Ambiente", "Personería", "Carrera 7 # 8-9", jurisdiction().areas[0].name),
            *("de manera verbal", "funcionaria-1", "Copia del contrato", "Plano", "Salud", "menor de edad"),
            *("Ley 1755", "Jueves Santo", "Punto de atención"),
        ):
            assert expected in text, expected
    with tx() as session:
        seen = session.scalars(sa.select(AccessRecord)).all()
        assert [(one.subject, one.what) for one in seen] == [("funcionaria-1", "receipt")]


def test_who_gets_a_copy(api: TestClient, issuer: Issuer, officer: dict[str, str]) -> None:
    receipt = api.post("/v1/service-requests", json={"subject": "x"}).json()
    path, own = f"/v1/service-requests/{receipt['id']}/receipt.pdf", f"/v1/tracking/{receipt['number']}/receipt.pdf"
    assert api.get(path).status_code == 401
    assert api.get(path, headers=issuer.headers("auditoria")).status_code == 403
    assert api.get(path, headers=issuer.headers("funcionario:otra-oficina")).status_code == 404
    assert api.get(own, headers={"Tracking-Code": "WRONG"}).status_code == 404
    assert "nónim" in _text(api.get(path, headers=officer))
    with tx() as session:
        session.execute(sa.update(ServiceRequest).values(tombstoned_at=clock.now()))
    assert api.get(path, headers=officer).json()["title"] == "Los datos personales ya se borraron"


def test_a_confidential_petitioner_is_named_in_no_copy(api: TestClient, officer: dict[str, str]) -> None:
    said = _whole() | {"confidential": True, "language": "en", "priority_reason": "I am Rosa"}
    receipt = api.post("/v1/service-requests", json=said).json()
    for path, headers in (
        (f"/v1/service-requests/{receipt['id']}/receipt.pdf", officer),
        (f"/v1/tracking/{receipt['number']}/receipt.pdf", {"Tracking-Code": receipt["tracking_code"]}),
    ):
        text = _text(api.get(path, headers=headers))
        assert receipt["number"] in text
        assert "confidential" in text.lower()
        for hidden in ("Rosa", "52.000.001", "Calle 1", "Luis", "Foto", said["organization_id"]):
            assert hidden not in text, hidden


def test_the_receipt_counts_each_document_once(api: TestClient) -> None:
    said = {"subject": "x", "attachments": ["CARTA.PDF", "Plano en papel"]}
    receipt = api.post("/v1/service-requests", json=said).json()
    code = {"Tracking-Code": receipt["tracking_code"]}
    tracking = f"/v1/tracking/{receipt['number']}"
    for content, name in ((b"a", "CARTA.PDF"), (b"b", "image.pdf"), (b"c", "image.pdf")):
        sent = {"file": (name, b"%PDF-1.7\n" + content, "application/pdf")}
        assert api.post(f"{tracking}/attachments", data={"purpose": "petition"}, files=sent, headers=code).is_success
    assert "Se recibieron 4 documentos anexos" in _text(api.get(f"{tracking}/receipt.pdf", headers=code))


def test_the_receipt_names_the_organization_once_the_registry_told(api: TestClient) -> None:
    organization = uuid4()
    receipt = api.post("/v1/service-requests", json={"subject": "x", "organization_id": str(organization)}).json()
    code = {"Tracking-Code": receipt["tracking_code"]}
    path = f"/v1/tracking/{receipt['number']}/receipt.pdf"
    unknown = _text(api.get(path, headers=code))
    assert "Por confirmar en el registro" in unknown
    assert str(organization) in unknown.replace(" ", "")
    # Out of order: what is older than what is known changes nothing.
    for version, name in ((2, "Junta La Esperanza de Ñuble"), (1, "Junta de antes"), (2, "Junta de antes")):
        event = OrganizationChanged(
            organization_id=organization,
            number="ORG-2026-00001",
            name=name,
            organization_type="jac",
            status="registered",
        )
        envelope = envelope_of(
            event,
            event_id=uuid4(),
            subject_version=version,
            occurred_at=clock.now(),
            correlation_id="",
            traceparent=None,
        )
        letter = {"envelope": envelope.model_dump(mode="json"), "sent": 1}
        assert receive(database, HANDLERS, [letter]) == [envelope.id]
    known = _text(api.get(path, headers=code))
    assert "Junta La Esperanza de Ñuble (ORG-2026-00001)" in known
    assert str(organization) not in known.replace(" ", "")


def test_the_receipt_prints_what_the_type_asked(api: TestClient, officer: dict[str, str]) -> None:
    kind = next(kind for kind in jurisdiction().request_types if kind.code == "complaint")
    questions = {asked.code: asked.name for asked in kind.fields}
    answers = {"happened_on": "2026-11-01", "against": "Ventanilla 3"}
    body = {"subject": "x", "request_type": kind.code, "answers": answers}
    receipt = api.post("/v1/service-requests", json=body).json()
    code = {"Tracking-Code": receipt["tracking_code"]}
    path = f"/v1/tracking/{receipt['number']}/receipt.pdf"
    text = _text(api.get(path, headers=code))
    for said in (questions["against"], "Ventanilla 3", questions["happened_on"], "1 de noviembre de 2026"):
        assert said in text, said
    with tx() as session:
        request = session.get_one(ServiceRequest, receipt["id"])
        request.answers_given = '{"against": "Ventanilla 3", "of_old": 2.5}'
    assert "of_old 2,5" in _text(api.get(path, headers=code))
    assert "preguntó además" not in _text(
        api.get(f"/v1/service-requests/{_bare(api)['id']}/receipt.pdf", headers=officer)
    )


def _bare(api: TestClient) -> dict[str, Any]:
    return dict(api.post("/v1/service-requests", json={"subject": "x"}).json())


def test_a_representative_is_identified_on_the_receipt_and_nowhere_in_the_clear(
    api: TestClient, officer: dict[str, str]
) -> None:
    said = _whole() | {"petitioner": ROSA | {"representative_identification": "TP 998877"}}
    receipt = api.post("/v1/service-requests/verbal", json=said, headers=officer).json()
    code = {"Tracking-Code": receipt["tracking_code"]}
    assert "TP 998877" in _text(api.get(f"/v1/tracking/{receipt['number']}/receipt.pdf", headers=code))
    seen = api.get(f"/v1/service-requests/{receipt['id']}", headers=officer).json()
    assert seen["petitioner"]["representative_identification"] == "TP 998877"
    found = api.post("/v1/service-requests/search", json={"text": "TP 998877"}, headers=officer)
    assert [item["id"] for item in found.json()["items"]] == [receipt["id"]]
    with tx() as session:
        assert "998877" not in str(session.execute(sa.text("select r::text from service_request r")).all())
    hidden = api.post("/v1/service-requests", json=said | {"confidential": True, "missing": None}).json()
    text = _text(
        api.get(f"/v1/tracking/{hidden['number']}/receipt.pdf", headers={"Tracking-Code": hidden["tracking_code"]})
    )
    assert "998877" not in text


def test_a_copy_says_what_was_told_at_receipt(api: TestClient, officer: dict[str, str]) -> None:
    receipt = api.post("/v1/service-requests", json={"subject": "x", "request_type": "complaint"}).json()
    due, type_name = date.fromisoformat(receipt["clock"]["due_date"]), receipt["type_name"]
    path = f"/v1/tracking/{receipt['number']}/receipt.pdf"
    code = {"Tracking-Code": receipt["tracking_code"]}
    printed = clock.now() + timedelta(hours=1)
    with clock.moved_to(printed):
        first = _text(api.get(path, headers=code))
    with tx() as session:
        request = session.get_one(ServiceRequest, receipt["id"])
        desk.retype(session, request, "information", "Pide información", None, "f-1", by_supervisor=False)
        desk.move_to_office(session, request, jurisdiction().offices[1].code, "f-1")
        assert (request.due_date, request.type_name) != (due, type_name)
    with clock.moved_to(printed):
        assert _text(api.get(path, headers=code)) == first
    assert type_name in first
