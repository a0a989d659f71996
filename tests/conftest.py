"""One town for the whole run: a database per service, migrated once and emptied for each test, and an issuer of tokens."""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tejido_requests.calendars import queries as calendars
from tejido_shared.contracts import SERVICES
from tejido_shared.db import Database
from tejido_shared.testing import Issuer, empty, town_environment

ROOT = Path(__file__).parent.parent
_issuer = Issuer()


def pytest_configure(config: pytest.Config) -> None:
    """Before any service is imported: its settings are read once."""
    if "TEJIDO_TEST_POSTGRES_URL" not in os.environ or "TEJIDO_TEST_REDIS_URL" not in os.environ:
        raise pytest.UsageError("The tests need a PostgreSQL and a Redis of their own: run them with ./tejido test")
    os.environ.update(town_environment("test_town", _issuer, str(ROOT / "jurisdictions" / "co-bogota")))


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Mints access tokens that the services under test accept."""
    return _issuer


@pytest.fixture(scope="session")
def migrated() -> dict[str, Database]:
    """Every service's database, migrated."""
    from tejido_shared.manage import upgrade

    databases = {}
    for service in SERVICES:
        databases[service] = importlib.import_module(f"tejido_{service}.db").database
        upgrade(f"tejido_{service}", databases[service])
    return databases


@pytest.fixture
def databases(migrated: dict[str, Database]) -> Iterator[dict[str, Database]]:
    """Every service's database, empty."""
    for database in migrated.values():
        empty(database)
    calendars.forget()
    yield migrated
    for database in migrated.values():
        database.close()


@pytest.fixture(scope="session")
def handouts() -> Path:
    """The folder of real open data and worked deadline cases; it is not part of the repository."""
    folder = Path(os.environ.get("TEJIDO_HANDOUTS", ROOT.parent / "shared"))
    if not (folder / "vectors").is_dir():
        pytest.skip(f"no hand-outs with real data at {folder}")
    return folder
