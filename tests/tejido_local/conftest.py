import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def temporary_directory(mode: int) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="tejido prueba "))
    path.chmod(mode)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory every account may enter: root's PostgreSQL runs as another."""
    with temporary_directory(0o755) as path:
        yield path


@pytest.fixture
def closed_dir() -> Iterator[Path]:
    """A directory only its owner may enter, such as /root."""
    with temporary_directory(0o700) as path:
        yield path


@pytest.fixture(scope="module")
def module_dir() -> Iterator[Path]:
    """As `open_dir`, for all tests of a module."""
    with temporary_directory(0o755) as path:
        yield path
