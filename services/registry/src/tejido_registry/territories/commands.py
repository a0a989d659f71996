"""Commands: `territories FILE --kind area --code PROPERTY --name PROPERTY`, and `locate` once shapes have changed."""

import argparse
import sys
from pathlib import Path
from typing import Any

from tejido_registry.db import database
from tejido_registry.territories import locating, schemas, service
from tejido_shared import i18n
from tejido_shared.refusals import Refused


def add(commands: Any) -> None:
    """Adds `territories` and `locate` to the service's commands."""
    load: argparse.ArgumentParser = commands.add_parser(
        "territories", help="load the shapes of areas or barrios (GeoJSON)"
    )
    load.add_argument("file", type=Path)
    load.add_argument("--kind", required=True, choices=("area", "neighborhood"))
    load.add_argument("--code", required=True, metavar="PROPERTY", help="property of a feature that holds its code")
    load.add_argument("--name", required=True, metavar="PROPERTY", help="property that holds its name")
    load.add_argument("--area", metavar="PROPERTY", help="property with the code or name of a barrio's area")
    load.add_argument("--match", choices=("code", "name"), default="code", help="name: the file has codes of its own")
    load.add_argument("--replace", action="store_true", help="remove shapes of this kind that are not in the file")
    load.set_defaults(run=load_file)
    locate: argparse.ArgumentParser = commands.add_parser(
        "locate", help="find anew what every organization's point lies in"
    )
    locate.add_argument("--batch", type=int, default=locating.BATCH, help="organizations a transaction holds")
    locate.set_defaults(run=locate_all)


def load_file(arguments: argparse.Namespace) -> int:
    """Prints what was wrong, a line each, then the counts. Returns 1 when nothing could be loaded."""
    try:
        features = service.read(arguments.file.read_bytes())
        with database.tx() as session:
            done = service.load(
                session,
                arguments.kind,
                features,
                code=arguments.code,
                name=arguments.name,
                area=arguments.area,
                by_name=arguments.match == "name",
                replace=arguments.replace,
            )
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    except Refused as error:
        for field, code in error.fields:
            print(f"{field}: {_text(f'field.{code}', **error.params)}", file=sys.stderr)
        return 1
    finally:
        database.close()
    for problem in done.problems:
        print(problem.position, problem.name, problem.reason, sep="\t")
    if done.missing:
        print(_text("territories.missing", areas=", ".join(done.missing)), file=sys.stderr)
    print(_text("territories.counts", **done.model_dump()), file=sys.stderr)
    return 0 if done.stored or done.unchanged else 1


def locate_all(arguments: argparse.Namespace) -> int:
    """A transaction for each batch: one that is ended half-way is simply run again."""
    total, after = schemas.Located(looked_at=0, changed=0, outside=0), None
    try:
        while True:
            with database.tx() as session:
                done, after = locating.locate(session, after, arguments.batch)
            for name in schemas.Located.model_fields:
                setattr(total, name, getattr(total, name) + getattr(done, name))
            if after is None:
                break
    finally:
        database.close()
    print(_text("territories.located", **total.model_dump()), file=sys.stderr)
    return 0


def _text(code: str, **params: Any) -> str:
    return i18n.text(service.PACKAGE, code, **params)
