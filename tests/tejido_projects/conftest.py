from collections.abc import Iterator
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from tejido_projects.app import create_app
from tejido_projects.db import tx
from tejido_projects.models import KnownOrganization
from tejido_shared.db import Database
from tejido_shared.testing import Issuer

ORGANIZATION = UUID("0198f0c0-0000-7000-8000-000000000001")


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def organization(databases: dict[str, Database]) -> str:
    """A registered organization that this service has heard of."""
    with tx() as session:
        session.add(
            KnownOrganization(
                id=ORGANIZATION,
                version=1,
                number="ORG-2026-00001-01",
                name="Junta de Acción Comunal Villa Niza",
                organization_type="jac",
                status="registered",
            )
        )
    return str(ORGANIZATION)


@pytest.fixture
def representative(issuer: Issuer, organization: str) -> dict[str, str]:
    return issuer.headers(f"representante:{organization}", sub="representante-1")


@pytest.fixture
def officer(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("funcionario:gerencia-proyectos", sub="funcionaria-1")
