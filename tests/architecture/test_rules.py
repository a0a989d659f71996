"""The rules of the house that no linter knows."""

import ast
import importlib
from functools import cache
from pathlib import Path

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from tejido_shared.api import PUBLIC_PATHS
from tejido_shared.auth import guards_of
from tejido_shared.contracts import EVENTS, LISTENERS, SERVICES

ROOT = Path(__file__).parent.parent.parent
SOURCES = [path for place in ("shared", "services") for path in (ROOT / place).rglob("src/**/*.py")]


@cache
def _calls(path: Path) -> list[str]:
    return [ast.unparse(node.func) for node in ast.walk(_parsed(path)) if isinstance(node, ast.Call)]


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _files_that_call(*endings: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in SOURCES if any(call.endswith(endings) for call in _calls(path))}


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 60


def test_the_only_commit() -> None:
    assert _files_that_call(".commit") == set()
    assert _files_that_call("session.begin", "_sessions.begin") == {"shared/src/tejido_shared/db.py"}


def test_the_only_send() -> None:
    assert _files_that_call(".send_task") == {"shared/src/tejido_shared/worker.py"}
    assert _files_that_call(".delay", ".apply_async") == set()


def test_the_environment_is_read_in_settings_only() -> None:
    reading = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(
            isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv")
            for node in ast.walk(_parsed(path))
        )
    }
    assert reading <= {"shared/src/tejido_shared/testing.py"}
    settings = {
        path.name for path in SOURCES if "BaseSettings" in path.read_text() or "ServiceSettings)" in path.read_text()
    }
    assert settings == {"settings.py"}


def test_no_drawer_for_everything() -> None:
    assert not [path for path in SOURCES if path.stem in ("utils", "helpers", "common", "misc")]
    assert not [path for path in SOURCES if "shared_task" in path.read_text()]
    assert not list((ROOT / "services").glob("__init__.py"))
    assert not list((ROOT / "services").glob("*/__init__.py"))


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_is_guarded_or_public_on_purpose(service: str) -> None:
    app = importlib.import_module(f"tejido_{service}.app").create_app()
    seen = 0
    for route in iter_route_contexts(app.routes):
        path = route.path or ""
        if path in PUBLIC_PATHS:
            continue
        assert isinstance(route.original_route, APIRoute), path
        assert len(guards_of(route.original_route.dependant)) == 1, f"{path} is neither guarded nor public"
        seen += 1
    assert seen >= 3


def test_every_event_has_listeners_that_handle_it() -> None:
    assert set(EVENTS.values()) == set(LISTENERS)
    for service in SERVICES:
        events = importlib.import_module(f"tejido_{service}.events")
        assert set(events.HANDLERS) == {event for event, listeners in LISTENERS.items() if service in listeners}


def test_nothing_names_the_place_it_was_made_in() -> None:
    """A municipality builds from its own mirror: no address of a package registry is written anywhere."""
    hosts = ["py" + "pi.org", "python" + "hosted.org", "deb." + "debian.org", "registry." + "npmjs.org"]
    for path in ROOT.rglob("*"):
        if (
            path.is_file()
            and not {".git", ".tejido", "__pycache__", ".venv"} & set(path.parts)
            and path.stat().st_size < 2_000_000
        ):
            text = path.read_text(errors="ignore")
            assert not [host for host in hosts if host in text], path
