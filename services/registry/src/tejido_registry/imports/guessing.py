"""What the columns of a file seem to be, from their names and their cells. Pure; a person looks at it before it is used."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, get_args

from stdnum.ar import cuit

from tejido_registry.imports import tables
from tejido_registry.imports.schemas import ColumnGuess, GuessOut, ImportField, ImportMapping
from tejido_registry.imports.words import legal_statuses, plain, words
from tejido_registry.queries import fold
from tejido_shared.jurisdiction import Jurisdiction

LOOKED_AT = 200
"""Rows whose cells are looked at."""
_MOSTLY = 0.8
_FIELDS = frozenset(get_args(ImportField))
_REQUIRED = ("name", "organization_type")
_SHAPES: dict[str, re.Pattern[str]] = {
    "email": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "phone": re.compile(r"[+(]?[0-9][0-9 ()./-]{6,}[0-9]"),
    "website": re.compile(r"(https?://|www\.)\S+", re.IGNORECASE),
    "founded_on": re.compile(r"\d{4}-\d{2}-\d{2}( .*)?|\d{1,2}[/.-]\d{1,2}[/.-]\d{4}"),
    "latitude": re.compile(r"-?\d{1,2}[.,]\d{3,}"),
    "longitude": re.compile(r"-?\d{1,3}[.,]\d{3,}"),
}
"""What a cell of such a column looks like, whatever the column is called."""


def guess(pack: Jurisdiction, data: bytes, saved: ImportMapping | None = None) -> GuessOut:
    """A mapping to start from. Raises `tables.Unreadable`."""
    table = tables.read(data, ())
    _refuse_heading(pack, table)
    whole = [row for _, row in table.rows if len(row) == len(table.header)]
    columns = [name for name in table.header if name and table.header.count(name) == 1]
    cells = {name: [row[table.column(name)] for row in whole] for name in columns}
    filled = {name: [cell for cell in some if cell][:LOOKED_AT] for name, some in cells.items()}
    once = {name for name, some in cells.items() if all(some) and len(set(some)) == len(some)}
    guesses = _assign({name: _candidates(pack, name, filled[name]) for name in columns})
    mapping = _mapping(guesses)
    if mapping["key"] and mapping["key"][0] not in once:
        mapping["key"] = []
    mapping["key"] = mapping["key"] or [name for name in mapping["identifiers"].values() if name in once][:1]
    return GuessOut(
        columns=[
            ColumnGuess(
                column=name,
                field=guesses[name][0] if name in guesses else None,
                sure=name in guesses and guesses[name][1] >= _SURE,
                samples=list(dict.fromkeys(filled[name]))[:3],
            )
            for name in columns
        ],
        mapping=mapping,
        missing=[field for field in _REQUIRED if field not in mapping["columns"]],
        rows=len(table.rows),
        sample_rows=[dict(zip(table.header, row, strict=False)) for _, row in table.rows[:5]],
        saved=saved if saved is not None and _fits(saved, table.header) else None,
    )


def _refuse_heading(pack: Jurisdiction, table: tables.Table) -> None:
    """A title above the table would be taken for the names of its columns."""

    def known(names: Sequence[str]) -> int:
        return sum(any(certainty >= _SURE for _, certainty in _by_name(pack, name)) for name in names if name)

    best = known(table.header)
    for number, cells in table.rows[:20]:
        if known(cells) > max(best, 1):
            raise tables.Unreadable("header_below", row=number)


def _fits(saved: ImportMapping, header: list[str]) -> bool:
    asked = {*saved.columns.values(), *saved.identifiers.values(), *saved.check_digits.values(), *saved.key}
    return (asked | {*saved.only}).issubset(header)


# Each column may be several things, each with a certainty from 0 to 1. The name says most, the cells confirm or contradict it.

_SURE = 0.9
_LIKELY = 0.5
Candidates = list[tuple[str, float]]


def _candidates(pack: Jurisdiction, name: str, filled: list[str]) -> Candidates:
    found: dict[str, float] = {}
    for field, certainty in _by_name(pack, name):
        found[field] = max(found.get(field, 0.0), certainty * _agreement(pack, field, filled))
    for field, certainty in _by_cells(pack, filled):
        found[field] = max(found.get(field, 0.0), certainty)
    if any(field.startswith("identifiers.") and certainty >= _SURE for field, certainty in found.items()):
        found.pop("key", None)  # a number that tells organizations apart is better known by its register
    return [(field, certainty) for field, certainty in found.items() if certainty > 0]


def _by_name(pack: Jurisdiction, name: str) -> Candidates:
    written, found = plain(name), []
    schemes = {scheme.code for scheme in pack.identifier_schemes}
    for kind, prefix in (
        ("columns", ""),
        ("identifiers", "identifiers."),
        ("check_digits", "check_digits."),
        ("key", ""),
    ):
        for ours, theirs in words()[kind].items():
            if kind in ("identifiers", "check_digits") and ours not in schemes:
                continue
            if written == plain(ours):
                found.append((f"{prefix}{ours}", 1.0))
            elif written in theirs:
                # The first words of a list are what is mostly meant, the last ones what they might mean too.
                found.append((f"{prefix}{ours}", 1.0 - 0.05 * theirs.index(written) / len(theirs)))
            elif any(set(word.split()) <= set(written.split()) for word in theirs if len(word) > 2):
                found.append((f"{prefix}{ours}", 0.6))
    return found


def _agreement(pack: Jurisdiction, field: str, filled: list[str]) -> float:
    """How far the cells are what the name says: 1 if they are, or nothing is known of their shape."""
    if not filled:
        return 0.8
    if field in _SHAPES:
        share = _share(filled, _SHAPES[field])
        if field in ("latitude", "longitude"):
            share = sum(_degrees(cell) is not None for cell in filled) / len(filled)
        return 1.0 if share >= _MOSTLY else 0.7 if share >= 0.3 else 0.0
    if field == "organization_type":
        kinds = {fold(text) for kind in pack.organization_types for text in (kind.code, kind.name)}
        return 1.0 if sum(fold(cell) in kinds for cell in filled) >= _MOSTLY * len(filled) else 0.5
    if field == "legal_status":
        return 1.0 if sum(plain(cell) in legal_statuses() for cell in filled) >= _MOSTLY * len(filled) else 0.5
    if field == "area":
        areas = {fold(text) for area in pack.areas for text in (area.code, area.name)}
        return 1.0 if sum(fold(cell) in areas for cell in filled) >= _MOSTLY * len(filled) else 0.3
    if field.startswith("check_digits."):
        return 1.0 if _share(filled, re.compile("[0-9]")) >= _MOSTLY else 0.0
    if field == "key":
        return 1.0 if len(set(filled)) == len(filled) else 0.6 if len(set(filled)) >= 0.95 * len(filled) else 0.3
    if field == "name":
        return 1.0 if sum(bool(re.search("[^\\W\\d_]{3}", cell)) for cell in filled) >= _MOSTLY * len(filled) else 0.3
    return 1.0


def _by_cells(pack: Jurisdiction, filled: list[str]) -> Candidates:
    """What a column is whose name says nothing: never sure."""
    if len(filled) < 3:
        return []
    found: Candidates = []
    has_cuit = any(scheme.code == "AR-CUIT" for scheme in pack.identifier_schemes)
    if has_cuit and sum(cuit.is_valid(cell) for cell in filled) >= _MOSTLY * len(filled):
        found.append(("identifiers.AR-CUIT", 0.85))
    found += [(field, 0.7) for field in ("email", "website", "phone") if _share(filled, _SHAPES[field]) >= _MOSTLY]
    kinds = {fold(text) for kind in pack.organization_types for text in (kind.code, kind.name)}
    if sum(fold(cell) in kinds for cell in filled) >= _MOSTLY * len(filled):
        found.append(("organization_type", 0.8))
    areas = {fold(text) for area in pack.areas for text in (area.code, area.name)}
    if sum(fold(cell) in areas for cell in filled) >= _MOSTLY * len(filled):
        found.append(("area", 0.75))
    return found


def _assign(candidates: dict[str, Candidates]) -> dict[str, tuple[str, float]]:
    """To each column its best field that no other has a better claim to. A key may be a number that is also an identifier."""
    claims = sorted(
        ((certainty, -position, column, field) for position, (column, some) in enumerate(candidates.items()) for field, certainty in some),
        reverse=True,
    )  # fmt: skip
    taken: dict[str, tuple[str, float]] = {}
    fields: set[str] = set()
    for certainty, _, column, field in claims:
        if column not in taken and field not in fields and certainty >= _LIKELY / 2:
            taken[column] = (field, certainty)
            fields.add(field)
    return taken


def _mapping(guesses: dict[str, tuple[str, float]]) -> dict[str, Any]:
    mapping: dict[str, Any] = {
        "columns": {},
        "identifiers": {},
        "check_digits": {},
        "constants": {},
        "key": [],
        "only": {},
    }
    for column, (field, certainty) in guesses.items():
        part, _, code = field.partition(".")
        if code:
            mapping[part][code] = column
        elif field == "key":
            mapping["key"] = [column]
        elif field in _FIELDS and (certainty >= _LIKELY):
            mapping["columns"][field] = column
    for code in set(mapping["check_digits"]) - set(mapping["identifiers"]):
        del mapping["check_digits"][code]
    return mapping


def _share(cells: list[str], shape: re.Pattern[str]) -> float:
    return sum(bool(shape.fullmatch(cell)) for cell in cells) / len(cells)


def _degrees(cell: str) -> float | None:
    with suppress(ValueError):
        degrees = float(cell.replace(",", "."))
        if -180 <= degrees <= 180:
            return degrees
    return None
