"""What organizations may do, as the register told it, and where they live on after a merge."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_projects.db import tx
from tejido_projects.events import HANDLERS
from tejido_projects.models import KnownOrganization, Project
from tejido_shared import clock
from tejido_shared.contracts import OrganizationChanged, Standing, envelope_of
from tejido_shared.db import Database
from tejido_shared.inbox import receive
from tejido_shared.testing import Issuer

FIRST, SECOND, THIRD = UUID(int=1 << 64), UUID(int=2 << 64), UUID(int=3 << 64)
DAY = date(2026, 11, 28)
NOON = datetime(2026, 11, 28, 17, tzinfo=UTC)


class Register:
    """Tells the projects service of organizations, as the register does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._versions: dict[UUID, int] = {}

    def tells(self, key: UUID, *, refused: dict[str, list[str]] | None = None, **said: Any) -> None:
        self._versions[key] = self._versions.get(key, 0) + 1
        judged: dict[str, list[str]] = {"apply": [], "sign": [], **(refused or {})}
        standing = [Standing(purpose=purpose, allowed=not why, reasons=why) for purpose, why in judged.items()]
        event = OrganizationChanged(
            **{
                "organization_id": key,
                "number": f"ORG-{key.int >> 64}",
                "name": f"Junta {key.int >> 64}",
                "organization_type": "community_action_board",
                "status": "registered",
                "mandate_until": DAY,
                "standing": standing,
                **said,
            }
        )
        envelope = envelope_of(
            event,
            event_id=uuid4(),
            subject_version=self._versions[key],
            occurred_at=NOON,
            correlation_id="c",
            traceparent=None,
        )
        letter = {"envelope": envelope.model_dump(mode="json"), "sent": 1}
        assert len(receive(self._database, HANDLERS, [letter])) == 1


@pytest.fixture
def register(databases: dict[str, Database]) -> Register:
    return Register(databases["projects"])


def _body(organization: UUID, **more: Any) -> dict[str, Any]:
    return {"organization_id": str(organization), "title": "Huerta", "need": "Lote", "place": "Calle 3", **more}


def test_a_project_is_refused_with_the_reasons_in_words(
    api: TestClient, register: Register, officer: dict[str, str]
) -> None:
    why = ["registration_suspended", "document_missing:board_minutes", "filing_overdue", "invented_next_year"]
    register.tells(FIRST, refused={"apply": why}, status="suspended")
    with clock.moved_to(NOON):
        refused = api.post("/v1/projects", json=_body(FIRST), headers=officer)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:tejido:problem:standing")
        assert refused.json()["detail"] == (
            "Junta 1 no cumple hoy lo que se pide para: Presentarse a una convocatoria. Su inscripción está suspendida; "
            "Falta un documento vigente: Acta de elección de dignatarios; Debe la presentación anual; invented_next_year. "
            "Lo resuelve el registro de organizaciones; no se guardó nada."
        )
        english = api.post("/v1/projects", json=_body(FIRST), headers=officer | {"Accept-Language": "en"})
        assert "Its registration is suspended; A valid document is missing" in english.json()["detail"]
        register.tells(FIRST)
        assert api.post("/v1/projects", json=_body(FIRST), headers=officer).status_code == 201


def test_the_date_decides_even_while_the_event_is_on_its_way(
    api: TestClient, register: Register, officer: dict[str, str]
) -> None:
    register.tells(FIRST)

    def present(instant: datetime) -> Any:
        with clock.moved_to(instant):
            return api.post("/v1/projects", json=_body(FIRST), headers=officer)

    # Its last day ends at midnight in Bogotá, five hours after that of UTC.
    assert present(datetime(2026, 11, 29, 4, 59, tzinfo=UTC)).status_code == 201
    late = present(datetime(2026, 11, 29, 5, 1, tzinfo=UTC))
    assert (late.status_code, late.json()["detail"].count("mandato")) == (409, 1)
    register.tells(FIRST, mandate_until=DAY + timedelta(days=365))
    assert present(datetime(2026, 11, 29, 5, 1, tzinfo=UTC)).status_code == 201
    register.tells(FIRST, refused={"apply": ["mandate_vacant"]})
    assert present(datetime(2026, 11, 29, 5, 1, tzinfo=UTC)).json()["detail"].count("mandato") == 1


def test_an_organization_of_an_old_event_is_treated_as_before(
    api: TestClient, register: Register, officer: dict[str, str]
) -> None:
    register.tells(FIRST, standing=[], mandate_until=None)
    with clock.moved_to(NOON):
        assert api.post("/v1/projects", json=_body(FIRST), headers=officer).status_code == 201
        register.tells(FIRST, standing=[], status="inactive")
        refused = api.post("/v1/projects", json=_body(FIRST), headers=officer)
    assert refused.json()["errors"][0]["code"] == "organization_not_registered"


def test_steps_ask_for_standing_of_their_own(
    api: TestClient, register: Register, officer: dict[str, str], issuer: Issuer
) -> None:
    register.tells(FIRST)
    with clock.moved_to(NOON):
        project = api.post("/v1/projects", json=_body(FIRST, stage="formulation"), headers=officer).json()["id"]
        path = f"/v1/projects/{project}/stage"

        def step(to: str, who: dict[str, str]) -> int:
            return api.post(path, json={"to": to}, headers=who).status_code

        register.tells(FIRST, refused={"apply": ["mandate_expired"]})
        assert step("submitted", officer) == 409
        assert api.get(f"/v1/projects/{project}").json()["stage"] == "formulation"
        register.tells(FIRST, refused={"sign": ["legal_de_facto"]})
        assert step("submitted", officer) == 200
        with tx() as session:
            session.execute(sa.update(Project).values(stage="readiness"))
        supervisor = issuer.headers("supervision")
        assert step("in_execution", supervisor) == 409
        register.tells(FIRST)
        assert step("in_execution", supervisor) == 200


def test_a_merge_redirects_everywhere_and_can_be_undone(
    api: TestClient, register: Register, officer: dict[str, str], issuer: Issuer
) -> None:
    for key in (FIRST, SECOND, THIRD):
        register.tells(key)

    def represents(key: UUID) -> dict[str, str]:
        return issuer.headers(f"representante:{key}")

    def listed(key: UUID) -> list[tuple[str, str]]:
        items = api.get("/v1/projects", params={"organization_id": str(key), "sort": "title"}).json()["items"]
        return [(item["title"], item["organization_name"]) for item in items]

    with clock.moved_to(NOON):
        for key, title in ((FIRST, "A"), (SECOND, "B"), (THIRD, "C")):
            made = api.post("/v1/projects", json=_body(key, title=title), headers=officer)
            assert made.status_code == 201, made.text
            if key == FIRST:
                path = f"/v1/projects/{made.json()['id']}"
        edit = {"title": "A2"}
        matched = {"If-Match": '"1"'}
        assert api.patch(path, json=edit, headers=represents(THIRD) | matched).status_code == 403
        # The first into the second, which goes into the third in its turn.
        register.tells(FIRST, status="merged", merged_into=SECOND, refused={"apply": ["registration_merged"]})
        assert listed(FIRST) == listed(SECOND) == [("A", "Junta 2"), ("B", "Junta 2")]
        register.tells(SECOND, status="merged", merged_into=THIRD, refused={"apply": ["registration_merged"]})
        everything = [("A", "Junta 3"), ("B", "Junta 3"), ("C", "Junta 3")]
        assert listed(FIRST) == listed(SECOND) == listed(THIRD) == everything
        assert api.get(path).json()["organization_id"] == str(THIRD)
        assert api.patch(path, json=edit, headers=represents(THIRD) | matched).json()["organization_name"] == "Junta 3"
        both = issuer.headers("evaluacion", f"representante:{THIRD}")
        assert api.post(f"{path}/stage", json={"to": "eligibility"}, headers=both).status_code == 403
        presented = api.post("/v1/projects", json=_body(FIRST, title="D"), headers=represents(FIRST)).json()
        assert presented["organization_id"] == str(THIRD)
        with tx() as session:
            stored = set(session.scalars(sa.select(Project.organization_id)))
        assert stored == {FIRST, SECOND, THIRD}
        register.tells(SECOND)
        assert listed(THIRD) == [("C", "Junta 3"), ("D", "Junta 3")]
        assert listed(FIRST) == [("A2", "Junta 2"), ("B", "Junta 2")]


def test_a_list_of_merged_organizations_costs_the_same_few_statements(
    api: TestClient, register: Register, officer: dict[str, str]
) -> None:
    register.tells(THIRD, mandate_until=date(2099, 1, 1))
    seen: list[str] = []
    with tx() as session:
        engine = session.get_bind()
    sa.event.listen(engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    counts = []
    for turn in range(2):
        for n in range(1, 6):
            key = UUID(int=(10 * turn + n) << 32)
            register.tells(key, mandate_until=date(2099, 1, 1))
            assert api.post("/v1/projects", json=_body(key), headers=officer).status_code == 201
            register.tells(key, merged_into=THIRD)
        seen.clear()
        items = api.get("/v1/projects").json()["items"]
        assert {item["organization_name"] for item in items} == {"Junta 3"}
        counts.append(len([statement for statement in seen if statement.startswith("SELECT")]))
    assert counts == [2, 2]
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(KnownOrganization)) == 11
