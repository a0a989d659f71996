"""One town for the whole run: a database per service, migrated once and emptied for each test, and an issuer of tokens.

Where pytest-xdist runs tests side by side, each of its workers has a town of its own, and a database of Redis of its own.
"""

import importlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

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
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker:
        redis, _, _ = os.environ["TEJIDO_TEST_REDIS_URL"].rpartition("/")
        os.environ["TEJIDO_TEST_REDIS_URL"] = f"{redis}/{worker.removeprefix('gw')}"
    name = f"test_town_{worker}" if worker else "test_town"
    # A busy machine is no mistake.
    hypothesis.settings.register_profile(
        "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("unhurried")
    os.environ.update(town_environment(name, _issuer, str(ROOT / "jurisdictions" / "co-bogota")))


class OneLineOfKillers(LoadScopeScheduling):  # type: ignore[misc]
    """Gives whole files to the workers, so that what a module shares is made once. All files that kill processes are one group: two of
    them are never at it at the same time. (xdist's own groups by mark do not work with this pytest.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@cache
def group_of(nodeid: str) -> str:
    """What runs in one worker, one after the other."""
    file, _, test = nodeid.partition("::")
    if file == "tests/town/test_apis.py":
        return f"{file} {test.rpartition('[')[2]}"  # each service has an API of its own, which is tried for minutes
    source = (ROOT / file).read_text()
    return "killing" if "mark.faults" in source or "mark.containers" in source else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneLineOfKillers:
    return OneLineOfKillers(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, what takes longest is begun first."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        long = (
            "killing",
            "tests/tejido_shared/test_deadlines.py",
            "tests/town/test_apis.py",
            "tests/tejido_local/test_sample.py",
        )
        items.sort(key=lambda item: not group_of(item.nodeid).startswith(long))
        items.sort(key=lambda item: group_of(item.nodeid) != "killing")


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
