"""The read model of organizations, and what this service publishes."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_projects.db import tx
from tejido_projects.events import HANDLERS
from tejido_projects.models import KnownOrganization
from tejido_shared import seam
from tejido_shared.contracts import OrganizationChanged, envelope_of
from tejido_shared.db import Database
from tejido_shared.inbox import receive

ORGANIZATION = uuid4()


def _letter(version: int, *, event_id: UUID | None = None, **changes: str) -> dict[str, Any]:
    event = OrganizationChanged(
        **{
            "organization_id": ORGANIZATION,
            "number": "ORG-2026-00009-11",
            "name": f"Comité Ambiental, versión {version}",
            "organization_type": "comite-ambiental",
            "status": "registered",
            **changes,
        }
    )
    envelope = envelope_of(
        event,
        event_id=event_id or uuid4(),
        subject_version=version,
        occurred_at=datetime(2026, 11, 20, tzinfo=UTC),
        correlation_id="c",
        traceparent=None,
    )
    return {"envelope": envelope.model_dump(mode="json"), "sent": 1}


def _known() -> list[tuple[int, str, str]]:
    with tx() as session:
        rows = session.scalars(sa.select(KnownOrganization).where(KnownOrganization.id == ORGANIZATION))
        return [(row.version, row.name, row.status) for row in rows]


def test_the_newest_state_of_an_organization_stays_however_events_arrive(databases: dict[str, Database]) -> None:
    first, second, third = _letter(1), _letter(2), _letter(3, status="suspended")
    expected = [(3, "Comité Ambiental, versión 3", "suspended")]
    assert len(receive(databases["projects"], HANDLERS, [second])) == 1
    assert _known() == [(2, "Comité Ambiental, versión 2", "registered")]
    assert len(receive(databases["projects"], HANDLERS, [third, first, second, third])) == 4
    assert _known() == expected
    # The same state in an event of its own, and an older one with another id.
    assert len(receive(databases["projects"], HANDLERS, [_letter(3, name="Otro"), _letter(2)])) == 2
    assert _known() == expected
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(seam.dead_letter)) == 0


def test_projects_are_accepted_while_the_organization_is_registered(
    api: TestClient, databases: dict[str, Database], officer: dict[str, str]
) -> None:
    body = {"organization_id": str(ORGANIZATION), "title": "Huerta", "need": "Lote con basura", "place": "Calle 3"}

    def present() -> tuple[int, str | None]:
        answer = api.post("/v1/projects", json=body, headers=officer)
        errors = answer.json().get("errors", [])
        return answer.status_code, f"{errors[0]['field']}: {errors[0]['code']}" if errors else None

    assert present() == (422, "body.organization_id: organization_unknown")
    receive(databases["projects"], HANDLERS, [_letter(1)])
    assert present() == (201, None)
    receive(databases["projects"], HANDLERS, [_letter(2, status="suspended")])
    assert present() == (422, "body.organization_id: organization_not_registered")


def test_events_carry_growing_versions_and_a_refusal_publishes_nothing(
    api: TestClient, organization: str, representative: dict[str, str], officer: dict[str, str]
) -> None:
    body = {"organization_id": organization, "title": "Salón comunal", "need": "Goteras", "place": "Barrio Sur"}
    project = api.post("/v1/projects", json=body, headers={**representative, "X-Correlation-Id": "visita-7"}).json()
    path = f"/v1/projects/{project['id']}"
    assert api.post(f"{path}/stage", json={"to": "eligibility"}, headers=officer).status_code == 200
    edited = api.patch(path, json={"title": "Salón"}, headers={**officer, "If-Match": '"2"'})
    assert edited.status_code == 200, edited.text
    assert api.post(f"{path}/stage", json={"to": "selected"}, headers=officer).status_code == 409
    assert api.post(f"{path}/stage", json={"to": "correction"}, headers=officer).status_code == 422
    moved = api.post(f"{path}/stage", json={"to": "correction", "reason": "Falta el acta"}, headers=officer)
    assert moved.status_code == 200
    with tx() as session:
        sent = list(
            session.scalars(
                sa.select(seam.outbox.c.envelope)
                .where(seam.outbox.c.subscriber == "requests")
                .order_by(seam.outbox.c.id)
            )
        )
    assert [(e["type"], e["subject_version"]) for e in sent] == [
        ("projects.presented", 1),
        ("projects.stage_changed", 2),
        ("projects.stage_changed", 4),
    ]
    assert {e["subject"] for e in sent} == {project["id"]}
    assert sent[0]["correlation_id"] == "visita-7"
    assert sent[0]["data"]["organization_id"] == organization
    assert sent[2]["data"] == {
        "project_id": project["id"],
        "number": project["number"],
        "title": "Salón",
        "from_stage": "eligibility",
        "to_stage": "correction",
    }
    assert moved.json()["version"] == 4
