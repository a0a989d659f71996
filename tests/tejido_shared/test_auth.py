"""Who is let in: tokens of any provider, by issuer, keys, audience and groups."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tejido_shared.auth import Verifier, principal_from
from tejido_shared.db import Database
from tejido_shared.jurisdiction import Role, RoleRule
from tejido_shared.problems import Problem
from tejido_shared.settings import CommonSettings
from tejido_shared.testing import Issuer

ORGANIZATION = UUID("018f0000-0000-7000-8000-000000000001")
RULES = (
    RoleRule(group="funcionario:(?P<office>[a-z-]+)", role=Role.OFFICER),
    RoleRule(group="representante:(?P<organization>[0-9a-f-]{36})", role=Role.ORGANIZATION_REPRESENTATIVE),
    RoleRule(group="registro", role=Role.REGISTRAR),
    RoleRule(client="portal", role=Role.REGISTRAR),
)


@pytest.fixture
def verifier(issuer: Issuer) -> Verifier:
    return Verifier(CommonSettings(), RULES)


@pytest.fixture
def other() -> Iterator[Issuer]:
    stranger = Issuer()
    yield stranger
    stranger.close()


def _status(verifier: Verifier, token: str) -> int:
    with pytest.raises(Problem) as refused:
        verifier.verify(token)
    return refused.value.status


def test_groups_become_roles_with_their_scope(verifier: Verifier, issuer: Issuer) -> None:
    groups = ["funcionario:atencion", f"representante:{ORGANIZATION}", "unknown", "xregistrox"]
    principal = verifier.verify(issuer.token(groups, sub="p-1"))
    assert principal.roles == {Role.OFFICER, Role.ORGANIZATION_REPRESENTATIVE}
    assert principal.offices == {"atencion"}
    assert principal.represents(ORGANIZATION)
    assert verifier.verify(issuer.token([])).roles == frozenset()


def test_keycloak_shape() -> None:
    claims = {
        "sub": "u",
        "exp": time.time() + 60,
        "realm_access": {"roles": ["registro", "offline_access"]},
        "azp": "portal",
    }
    assert principal_from(claims, "realm_access.roles", RULES).roles == {Role.REGISTRAR}
    nested = {"sub": "u", "exp": time.time() + 60, "groups": ["/funcionario:atencion"]}
    assert principal_from(nested, "groups", RULES).offices == {"atencion"}
    assert (
        principal_from({"sub": "u", "exp": 9e9, "realm_access": "odd"}, "realm_access.roles", RULES).roles
        == frozenset()
    )


def test_a_clients_role_is_for_the_client_alone(verifier: Verifier, issuer: Issuer) -> None:
    person_through_the_client = issuer.token([], sub="p-1", client_id="portal")
    assert verifier.verify(person_through_the_client).roles == frozenset()
    assert verifier.verify(issuer.token([], sub="portal", client_id="portal")).roles == {Role.REGISTRAR}


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other"},
        {"iss": "https://elsewhere.example"},
        {"exp": -60},
        {"nbf": 300},
        {"exp": None},
        {"sub": None},
    ],
)
def test_wrong_claims_are_refused(verifier: Verifier, issuer: Issuer, claims: dict[str, object]) -> None:
    """Numbers are seconds from now."""
    now = datetime.now(UTC)
    moved = {
        name: now + timedelta(seconds=value) if isinstance(value, int) else value for name, value in claims.items()
    }
    assert _status(verifier, issuer.token(["registro"], **moved)) == 401


def test_another_issuers_signature_is_refused(verifier: Verifier, issuer: Issuer, other: Issuer) -> None:
    assert _status(verifier, other.token(["registro"], iss=issuer.url)) == 401


def test_no_signature_or_a_shared_secret_is_refused(verifier: Verifier, issuer: Issuer) -> None:
    body = jwt.decode(issuer.token(["registro"]), options={"verify_signature": False})
    assert _status(verifier, jwt.encode(body, "", algorithm="none")) == 401
    assert _status(verifier, jwt.encode(body, "x" * 64, algorithm="HS256", headers={"kid": "test"})) == 401
    assert _status(verifier, "a.b.c") == 401
    wrong_kind = jwt.encode(body, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "test"})
    assert _status(verifier, wrong_kind) == 401


def test_opaque_tokens_are_asked_about(verifier: Verifier, issuer: Issuer) -> None:
    issuer.opaque["machine-token"] = {
        "active": True,
        "client_id": "portal",
        "exp": time.time() + 600,
        "iss": issuer.url,
        "aud": ["tejido"],
    }
    principal = verifier.verify("machine-token")
    assert (principal.machine, principal.roles) == (True, {Role.REGISTRAR})
    assert principal.expires_at <= time.time() + Verifier.INTROSPECTED
    issuer.opaque["foreign"] = {"active": True, "client_id": "portal", "aud": ["other"]}
    assert _status(verifier, "foreign") == 401
    assert _status(verifier, "unknown") == 401


def test_keys_outlive_their_issuer_and_its_absence_is_said(issuer: Issuer) -> None:
    leaving = Issuer()
    settings = CommonSettings(oidc_issuer=leaving.url, oidc_introspection_url=f"{leaving.url}/i")
    verifier, late = Verifier(settings, RULES), Verifier(settings, RULES)
    assert verifier.verify(leaving.token(["registro"])).has(Role.REGISTRAR)
    second = leaving.token(["registro"], sub="p-2")
    leaving.close()
    leaving._server.server_close()
    assert verifier.verify(second).subject == "p-2"
    assert _status(late, second) == 503
    assert _status(verifier, "opaque") == 503
    assert _status(verifier, issuer.token(["registro"])) == 401


def test_an_issuer_that_hangs_holds_up_nobody_else(
    databases: dict[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts and does not answer; strangers send tokens it would have to judge; a citizen files meanwhile."""
    from fastapi.testclient import TestClient

    from tejido_requests.app import create_app

    with socket.create_server(("127.0.0.1", 0)) as silent, TestClient(create_app()) as api:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = CommonSettings(oidc_issuer=url, oidc_introspection_url=f"{url}/i")
        monkeypatch.setattr(api.app.state, "verifier", Verifier(settings, RULES))  # type: ignore[attr-defined]
        with ThreadPoolExecutor(30) as pool:
            strangers = [
                pool.submit(api.get, "/v1/service-requests", headers={"Authorization": f"Bearer opaque-{n}"})
                for n in range(29)
            ]
            time.sleep(0.3)
            started = time.monotonic()
            assert api.post("/v1/service-requests", json={"subject": "Un bache"}).status_code == 201
            assert time.monotonic() - started < 3
            assert {answer.result().status_code for answer in strangers} == {503}
