"""The registry's own command: `python -m tejido_registry import FILE --source NAME --mapping FILE`."""

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tejido_registry import imports
from tejido_registry.db import database
from tejido_registry.schemas import ImportMapping, ImportOut
from tejido_registry.service import PACKAGE
from tejido_shared import i18n
from tejido_shared.problems import reason
from tejido_shared.refusals import Refused


def add(commands: Any) -> None:
    """Adds `import` to the service's commands."""
    parser: argparse.ArgumentParser = commands.add_parser("import", help="import another register, CSV or XLSX")
    parser.add_argument("file", type=Path)
    parser.add_argument("--source", required=True, help="name of the register; a second run knows its rows again by it")
    parser.add_argument("--mapping", required=True, type=Path, help="TOML or JSON: their columns to our fields")
    parser.add_argument("--dry-run", action="store_true", help="only report; change nothing")
    parser.add_argument("--all-or-nothing", action="store_true", help="import nothing if a row is rejected")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=import_register)


def import_register(arguments: argparse.Namespace) -> int:
    """Prints the report, a line a problem, and then the counts. Returns 1 when nothing could be imported."""
    try:
        reading = imports.read(arguments.file.read_bytes(), _mapping(arguments.mapping))
        with database.tx() as session:
            report = imports.run(
                session,
                arguments.source,
                reading,
                None,
                dry_run=arguments.dry_run,
                all_or_nothing=arguments.all_or_nothing,
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


def _mapping(path: Path) -> ImportMapping:
    text = path.read_text("utf-8-sig")
    if path.suffix.lower() == ".json":
        return ImportMapping.model_validate_json(text)
    try:
        return ImportMapping.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Refused(fields=[(path.name, "toml")], error=str(error)) from None


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
