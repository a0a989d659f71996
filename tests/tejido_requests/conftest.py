"""The API of the requests service over an empty database, and an officer of the office that receives everything."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tejido_requests.app import create_app
from tejido_shared.db import Database
from tejido_shared.testing import Issuer


@pytest.fixture
def api(databases: dict[str, Database]) -> Iterator[TestClient]:
    with TestClient(create_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def officer(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("funcionario:atencion-ciudadania", sub="funcionaria-1")
