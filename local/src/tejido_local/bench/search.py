"""What a search over many organizations costs, written right and mistyped, against the bare query with the same index."""

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa

from tejido_local.bench import organizations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tejido_local.bench import Bench, Row

SEARCHES = 200
PAGE = 50
_RIGHT = (
    "select * from organization where searchable @@ to_tsquery('simple', %(words)s) order by sort_name, id limit 50"
)
_ALIKE = "select * from organization where {} order by sort_name, id limit 50"


def rows(bench: "Bench") -> "Iterator[Row]":
    from tejido_local.bench import Row

    bench.migrate("registry")
    os.environ["REGISTRY_DATABASE_URL"] = bench.town.environment["REGISTRY_DATABASE_URL"]
    _fill(bench)
    rng = Random(2026)
    names = [row[1].split() for row in organizations.rows(organizations.AMOUNT)]
    chosen = [_words(rng, rng.choice(names)) for _ in range(SEARCHES)]
    url = bench.town.environment["REGISTRY_DATABASE_URL"].replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as bare:
        bare.execute("set pg_trgm.word_similarity_threshold = 0.4")
        for name, searches, limit in (
            ("search, written right, 99th percentile", chosen, _bare_right),
            ("search, mistyped, 99th percentile", [_mistyped(rng, words) for words in chosen], _bare_alike),
        ):
            measure = partial(_p99, searches)
            ours, theirs = bench.in_turn(partial(measure, _ours), partial(measure, partial(limit, bare)))
            middle = sorted(zip(ours, theirs, strict=True))[len(ours) // 2]
            yield Row(
                f"{name} of {organizations.AMOUNT:,}",
                f"{middle[0] * 1000:.0f} ms",
                f"{middle[1] * 1000:.0f} ms",
                [a / b for a, b in zip(ours, theirs, strict=True)],
                3,
                at_most=True,
            )


def _fill(bench: "Bench") -> None:
    database = bench.town.database("registry")
    with database.tx() as session:
        stored = session.scalar(sa.text("select count(*) from organization")) or 0
    if stored < organizations.AMOUNT:  # else the import before it left them
        folder = Path(bench.town.environment["TEJIDO_FILES"])
        register, mapping = folder / "register.csv", folder / "mapping.json"
        organizations.write(register, organizations.AMOUNT)
        mapping.write_text(json.dumps(organizations.MAPPING), "utf-8")
        given = ("import", str(register), "--source", "bench", "--mapping", str(mapping))
        bench.town.run("-m", "tejido_registry", *given)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("set statement_timeout = 0"))
        connection.execute(sa.text("vacuum analyze"))


def _words(rng: Random, name: list[str]) -> list[str]:
    """Two or three words that a person remembers of a name."""
    known = [word for word in name if len(word) >= 4 and not word.isdecimal()]
    return rng.sample(known, min(len(known), rng.choice((2, 3))))


def _mistyped(rng: Random, words: list[str]) -> list[str]:
    """The same with one letter of the longest word left out, doubled or swapped with the next."""
    longest = max(words, key=len)
    place = rng.randrange(1, len(longest) - 2)
    wrong = rng.choice(
        (
            longest[:place] + longest[place + 1 :],
            longest[:place] + longest[place] + longest[place:],
            longest[:place] + longest[place + 1] + longest[place] + longest[place + 2 :],
        )
    )
    return [wrong if word == longest else word for word in words]


def _p99(searches: list[list[str]], act: Callable[[list[str]], Any]) -> float:
    took = []
    for words in searches:
        started = time.perf_counter()
        act(words)
        took.append(time.perf_counter() - started)
    return sorted(took)[int(len(took) * 0.99) - 1]


def _ours(words: list[str]) -> None:
    """What the route does, down to what it sends."""
    from tejido_registry.routes import list_organizations
    from tejido_registry.schemas import OrganizationQuery

    list_organizations(OrganizationQuery(q=" ".join(words), limit=PAGE), None).model_dump_json()


def _bare_right(bare: psycopg.Connection[Any], words: list[str]) -> None:
    from tejido_registry.checks import fold

    bare.execute(_RIGHT, {"words": " & ".join(f"{fold(word)}:*" for word in words)}).fetchall()


def _bare_alike(bare: psycopg.Connection[Any], words: list[str]) -> None:
    from tejido_registry.checks import fold

    alike = " and ".join(["%s <%% folded_names"] * len(words))
    bare.execute(_ALIKE.format(alike), [fold(word) for word in words]).fetchall()
