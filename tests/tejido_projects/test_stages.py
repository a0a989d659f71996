"""The table of stages: its checks, and every step and non-step of it over HTTP."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from tejido_projects import stages as stage_table
from tejido_projects.db import tx
from tejido_projects.models import Project, StageEntry
from tejido_projects.settings import stages
from tejido_projects.stages import PACKAGE, Stage
from tejido_shared import i18n
from tejido_shared.jurisdiction import JurisdictionError, Role
from tejido_shared.testing import Issuer

STAGES = stages().stages
GROUPS = {
    Role.CITIZEN: "ciudadania",
    Role.OFFICER: "funcionario:gerencia-proyectos",
    Role.HEAD: "jefatura:gerencia-proyectos",
    Role.REGISTRAR: "registro",
    Role.PROJECT_EVALUATOR: "evaluacion",
    Role.SUPERVISOR: "supervision",
    Role.AUDITOR: "auditoria",
}


@pytest.fixture
def in_stage(api: TestClient, organization: str, representative: dict[str, str]) -> Callable[[str], str]:
    """Makes a project in a stage, without walking there."""

    def make(stage: str) -> str:
        body = {"organization_id": organization, "title": "Parque", "need": "Sin sombra", "place": "Calle 1"}
        project = api.post("/v1/projects", json=body, headers=representative).json()["id"]
        with tx() as session:
            session.execute(sa.update(Project).where(Project.id == UUID(project)).values(stage=stage))
        return f"/v1/projects/{project}"

    return make


@pytest.fixture
def as_role(issuer: Issuer, organization: str) -> Callable[[str], dict[str, str]]:
    groups = {**GROUPS, Role.ORGANIZATION_REPRESENTATIVE: f"representante:{organization}"}
    return lambda role: issuer.headers(groups[Role(role)], sub=f"{role}-1")


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.code)
def test_every_step_of_the_table_is_for_its_roles_and_demands_its_reason(
    stage: Stage,
    api: TestClient,
    in_stage: Callable[[str], str],
    as_role: Callable[[str], dict[str, str]],
    issuer: Issuer,
) -> None:
    for step in stage.steps:
        path = in_stage(stage.code)
        for role in {*GROUPS, Role.ORGANIZATION_REPRESENTATIVE} - {*step.roles}:
            refused = api.post(f"{path}/stage", json={"to": step.to, "reason": "Sí"}, headers=as_role(role))
            assert refused.status_code == 403, (step.to, role, refused.text)
        for role in step.roles:
            path = in_stage(stage.code)
            if step.reason:
                without = api.post(f"{path}/stage", json={"to": step.to}, headers=as_role(role))
                assert (without.status_code, without.json()["errors"][0]["field"]) == (422, "body.reason")
            reason = "Acta 4 de 2026" if step.reason else None
            moved = api.post(f"{path}/stage", json={"to": step.to, "reason": reason}, headers=as_role(role))
            assert (moved.status_code, moved.json().get("stage")) == (200, step.to), (role, moved.text)
            last = moved.json()["history"][-1]
            assert (last["from_stage"], last["to_stage"], last["reason"]) == (stage.code, step.to, reason)
        administrator = issuer.headers("administracion")
        again = api.post(f"{in_stage(stage.code)}/stage", json={"to": step.to, "reason": "x"}, headers=administrator)
        assert again.status_code == 200


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.code)
def test_every_pair_not_in_the_table_is_refused_naming_the_allowed_ones(
    stage: Stage, api: TestClient, in_stage: Callable[[str], str], issuer: Issuer
) -> None:
    path, administrator = in_stage(stage.code), issuer.headers("administracion")
    allowed = {step.to for step in stage.steps}
    for to in {other.code for other in STAGES} - allowed:
        refused = api.post(f"{path}/stage", json={"to": to, "reason": "Sí"}, headers=administrator)
        assert refused.status_code == 409, (to, refused.text)
        assert refused.json()["type"] == "urn:tejido:problem:step_not_allowed"
        assert all(f"({code})" in refused.json()["detail"] for code in allowed)
    assert api.get(path).json()["stage"] == stage.code
    unknown = api.post(f"{path}/stage", json={"to": "nonsense"}, headers=administrator)
    assert unknown.json()["errors"][0]["code"] == "unknown_stage"


def test_nobody_appraises_what_their_own_organization_presented(
    api: TestClient, in_stage: Callable[[str], str], issuer: Issuer, organization: str
) -> None:
    both = issuer.headers("evaluacion", f"representante:{organization}")
    other = issuer.headers("evaluacion", "representante:0198f0c0-0000-7000-8000-00000000ffff")
    path = in_stage("eligibility")
    assert api.post(f"{path}/stage", json={"to": "appraisal"}, headers=both).status_code == 403
    assert api.post(f"{path}/stage", json={"to": "appraisal"}, headers=other).status_code == 200


def test_two_change_the_stage_at_once_and_one_wins(
    api: TestClient, in_stage: Callable[[str], str], as_role: Callable[[str], dict[str, str]]
) -> None:
    for _ in range(5):
        path, together = in_stage("submitted"), Barrier(2)

        def change(role: str, path: str = path, together: Barrier = together) -> int:
            together.wait()
            return api.post(f"{path}/stage", json={"to": "eligibility"}, headers=as_role(role)).status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(change, ["officer", "project_evaluator"])) == [200, 409]
        assert [entry["to_stage"] for entry in api.get(path).json()["history"]] == ["submitted", "eligibility"]


def test_a_stage_seen_that_is_no_longer_true_is_refused_even_when_the_step_exists(
    api: TestClient, in_stage: Callable[[str], str], as_role: Callable[[str], dict[str, str]]
) -> None:
    path, evaluator = in_stage("correction"), as_role("project_evaluator")
    body = {"to": "not_viable", "reason": "Sin predio", "seen": "appraisal"}
    assert api.post(f"{path}/stage", json=body, headers=evaluator).json()["type"].endswith("stage_moved")
    assert api.post(f"{path}/stage", json=body | {"seen": "correction"}, headers=evaluator).status_code == 200


def test_the_same_key_moves_a_project_once(
    api: TestClient, in_stage: Callable[[str], str], as_role: Callable[[str], dict[str, str]]
) -> None:
    path = in_stage("submitted")
    headers = {**as_role("officer"), "Idempotency-Key": "k1"}
    answers = [api.post(f"{path}/stage", json={"to": "eligibility"}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    other = api.post(f"{path}/stage", json={"to": "correction", "reason": "x"}, headers=headers)
    assert other.json()["errors"][0]["code"] == "key_reused"
    with tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(StageEntry)) == 2


def test_the_table_is_public_and_spoken(api: TestClient) -> None:
    shown = api.get("/v1/stages").json()
    assert [stage["code"] for stage in shown] == [stage.code for stage in STAGES]
    correction = next(stage for stage in shown if stage["code"] == "correction")
    assert correction["name"] == "En subsanación"
    assert correction["editable"]
    step = {"to": "not_viable", "to_name": "No viable", "roles": ["project_evaluator"], "reason_required": True}
    assert step | {"standing": None} in correction["steps"]
    asked = {(stage["code"], step["to"], step["standing"]) for stage in shown for step in stage["steps"]}
    assert {one for one in asked if one[2]} == {
        ("formulation", "submitted", "apply"),
        ("readiness", "in_execution", "sign"),
    }
    for language in i18n.LANGUAGES:
        for code in stages().by_code:
            for key in (f"stage.{code}", f"next_step.{code}"):
                assert i18n.text(PACKAGE, key, language) != key
                assert (
                    language == "es" or i18n.text(PACKAGE, key, "en") != i18n.text(PACKAGE, key, "es") or code == "idea"
                )


@pytest.mark.parametrize(
    ("toml", "faults"),
    [
        ("default = ", ["Invalid value"]),
        ('default = "idea"\nstage = []', ["stage: "]),
        ('default = "idea"\n[[stage]]\ncode = "idea"\ninitial = true\nday = 3', ["stage.0.day: "]),
        (
            """
            default = "b"
            [[stage]]
            code = "a"
            initial = true
            next_step_days = 3
            steps = [
                { to = "b", roles = ["officer", "wizard"] },
                { to = "b", roles = ["officer"] },
                { to = "a", roles = ["officer"] },
                { to = "z", roles = ["officer"] },
            ]
            [[stage]]
            code = "b"
            next_step_days = 3
            [[stage]]
            code = "c"
            [[stage]]
            code = "c"
            """,
            [
                "c: la etapa está repetida",
                'default = "b": no es',
                "a → b: el paso está repetido",
                "a → a: el paso está repetido",
                "a → z: esa etapa no existe",
                "a → b: el rol wizard no existe",
                "b: next_step_days",
                "c: ningún camino",
            ],
        ),
    ],
)
def test_a_faulty_table_names_every_fault(toml: str, faults: list[str]) -> None:
    with pytest.raises(JurisdictionError) as raised:
        stage_table.read(toml)
    for fault in faults:
        assert any(problem.startswith(fault) for problem in raised.value.problems), (fault, raised.value.problems)
