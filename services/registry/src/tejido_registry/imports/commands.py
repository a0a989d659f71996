"""The registry's own command: `python -m tejido_registry import FILE --source NAME --mapping FILE`."""

import argparse
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tejido_registry.db import database
from tejido_registry.imports import reading, running, service, tables
from tejido_registry.imports.guessing import guess
from tejido_registry.imports.schemas import ImportMapping, ImportOut
from tejido_registry.service import PACKAGE
from tejido_registry.settings import jurisdiction
from tejido_shared import i18n
from tejido_shared.problems import reason
from tejido_shared.refusals import Refused

_TENTH = 10


def add(commands: Any) -> None:
    """Adds `import` to the service's commands."""
    parser: argparse.ArgumentParser = commands.add_parser("import", help="import another register, CSV or XLSX")
    parser.add_argument("file", type=Path)
    parser.add_argument("--source", required=True, help="name of the register; a second run knows its rows again by it")
    parser.add_argument(
        "--mapping", type=Path, help="TOML or JSON: their columns to our fields; the source's last one if left out"
    )
    parser.add_argument("--guess", action="store_true", help="only print a mapping to start from, as JSON")
    parser.add_argument("--dry-run", action="store_true", help="only report; change nothing")
    parser.add_argument("--all-or-nothing", action="store_true", help="import nothing if a row is rejected")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=import_register)


def import_register(arguments: argparse.Namespace) -> int:
    """Prints the report, a line a problem, and then the counts. Returns 1 when nothing could be imported.

    Rows are committed by the thousand: one that is broken off goes on by being run again.
    """
    try:
        data = arguments.file.read_bytes()
        if arguments.guess:
            print(json.dumps(_guess(data), ensure_ascii=False, indent=2))
            return 0
        mapping = _mapping(arguments.mapping, arguments.source)
        found = reading.read(data, mapping, progress=_progress("reading"))
        del data
        report = running.run(
            database,
            arguments.source,
            found,
            None,
            mapping=mapping,
            dry_run=arguments.dry_run,
            all_or_nothing=arguments.all_or_nothing,
            progress=_progress("writing"),
        )
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    except ValidationError as error:
        for flaw in error.errors():
            _complain(".".join(map(str, flaw["loc"])), reason(dict(flaw)))
        return 1
    except Refused as error:
        for field, code in error.fields:
            _complain(field, i18n.text(PACKAGE, f"field.{code}", **error.params))
        if not error.fields:
            _complain(arguments.source, i18n.text(PACKAGE, f"problem.{error.code}.detail"))
        return 1
    finally:
        database.close()
    _print(report, as_json=arguments.json)
    return 0 if report.applied or arguments.dry_run else 1


def _guess(data: bytes) -> dict[str, Any]:
    try:
        return guess(jurisdiction(), data).mapping
    except tables.Unreadable as error:
        raise Refused(fields=[("file", error.code)], **error.params) from None


def _mapping(path: Path | None, source: str) -> ImportMapping:
    if path is None:
        with database.tx() as session:
            return service.saved_mapping(session, source)
    text = path.read_text("utf-8-sig")
    if path.suffix.lower() == ".json":
        return ImportMapping.model_validate_json(text)
    try:
        return ImportMapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Refused(fields=[(path.name, "toml")], error=str(error)) from None


def _progress(stage: str) -> Callable[[int, int], None]:
    """A line on stderr for every tenth of a long file; a short one is done before anybody wonders."""
    said = 0

    def tell(done: int, rows: int) -> None:
        nonlocal said
        tenth = _TENTH * done // rows
        if said < tenth < _TENTH:
            said = tenth
            print(i18n.text(PACKAGE, f"import.{stage}", done=done, rows=rows), file=sys.stderr, flush=True)

    return tell


def _print(report: ImportOut, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.model_dump(), ensure_ascii=False, indent=2))
        return
    for problem in report.problems:
        severity = i18n.text(PACKAGE, f"import.{problem.severity}")
        print(problem.row, severity, problem.field, problem.reason, sep="\t")
    counts = report.model_dump(exclude={"problems"})
    print(i18n.text(PACKAGE, "import.counts", **counts), file=sys.stderr)
    if not report.applied:
        print(i18n.text(PACKAGE, "import.nothing_changed"), file=sys.stderr)


def _complain(field: str, text: str) -> None:
    print(f"{field}: {text}", file=sys.stderr)
