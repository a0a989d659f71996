"""What a file says, row by row: judged by itself, before anything is compared with the register. Pure.

A row whose content is as it was last imported is left alone, whatever officials corrected here since; a row that changed at its
source brings what its cells say. An empty cell never erases anything.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from tejido_registry import checks, service
from tejido_registry.imports import tables
from tejido_registry.imports.schemas import ImportMapping, RowProblem
from tejido_registry.imports.words import legal_statuses, plain
from tejido_registry.queries import fold
from tejido_registry.schemas import OrganizationIn
from tejido_registry.service import PACKAGE
from tejido_registry.settings import jurisdiction
from tejido_shared import i18n
from tejido_shared.problems import reason
from tejido_shared.refusals import Refused

LONGEST_KEY = 600
_CONTACT = {"contact_name": "name", "contact_post": "post", "email": "email", "phone": "phone"}
_LISTS = {"other_names": r"\s*[;|]\s*", "themes": r"\s*[,;|/]\s*", "populations": r"\s*[,;|/]\s*"}
"""Fields of which a cell may hold several, and what stands between them."""
_DAY_FIRST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})")
_YEAR_FIRST = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})(?: .*)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that can be imported. `values` are whole and checked; `said` names those that the row or the mapping gives."""

    row: int
    key: str
    values: dict[str, Any]
    said: frozenset[str]
    fingerprint: str


@dataclass
class Reading:
    """What a file says. `rejected` are numbers of rows."""

    rows: int = 0
    repeated: int = 0
    entries: list[Entry] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    rejected: set[int] = field(default_factory=set)

    def reject(self, row: int, where: str, code: str, text: str | None = None, **params: Any) -> None:
        self.rejected.add(row)
        self.problems.append(problem("error", row, where, code, text, **params))

    def warn(self, row: int, where: str, code: str, **params: Any) -> None:
        self.problems.append(problem("warning", row, where, code, **params))

    def keep_but(self, rows: set[int]) -> None:
        self.entries = [entry for entry in self.entries if entry.row not in rows and entry.row not in self.rejected]


def problem(severity: Any, row: int, where: str, code: str, text: str | None = None, **params: Any) -> RowProblem:
    """One thing to look at, told in the caller's language."""
    text = text or i18n.text(PACKAGE, f"field.{code}", **params)
    return RowProblem(row=row, field=where, code=code, reason=text, severity=severity)


def read(
    data: bytes,
    mapping: ImportMapping,
    most_rows: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reading:
    """Reads and judges a file. Raises `Refused` when the file or the mapping as a whole cannot be used."""
    return judge(open_table(data, mapping, most_rows), mapping, progress)


def open_table(data: bytes, mapping: ImportMapping, most_rows: int | None = None) -> tables.Table:
    """The table in a file, which must have the mapping's columns. Raises `Refused`."""
    _judge_mapping(mapping)
    columns = {*mapping.columns.values(), *mapping.identifiers.values(), *mapping.check_digits.values()}
    try:
        table = tables.read(data, {*columns, *mapping.key, *mapping.only})
    except tables.Unreadable as error:
        raise Refused(fields=[("file", error.code)], **error.params) from None
    if most_rows is not None and len(table.rows) > most_rows:
        raise Refused(fields=[("file", "too_many_rows")], most=most_rows, rows=len(table.rows))
    return table


def judge(table: tables.Table, mapping: ImportMapping, progress: Callable[[int, int], None] | None = None) -> Reading:
    """Judges every row. The table is used up: each row is let go once it was judged."""
    reading, rows = Reading(), len(table.rows)
    table.rows.reverse()
    while table.rows:
        if progress is not None and len(table.rows) % 1000 == 0:
            progress(rows - len(table.rows), rows)
        row, cells = table.rows.pop()
        if len(cells) != len(table.header):
            reading.rows += 1
            reading.reject(row, "", "cell_count", cells=len(cells), columns=len(table.header))
            continue
        named = dict(zip(table.header, cells, strict=True))
        if all(named[column] == value for column, value in mapping.only.items()):
            reading.rows += 1
            _read_row(reading, row, named, mapping)
    _judge_repeats(reading)
    return reading


def _judge_mapping(mapping: ImportMapping) -> None:
    flaws = []
    if "name" not in mapping.columns:
        flaws.append(("mapping.columns", "mapping_name"))
    if "organization_type" not in mapping.columns | mapping.constants:
        flaws.append(("mapping.constants", "mapping_type"))
    schemes = {scheme.code for scheme in jurisdiction().identifier_schemes}
    flaws += [
        (f"mapping.identifiers.{code}", "unknown_scheme") for code in sorted({*mapping.identifiers}.difference(schemes))
    ]
    flaws += [
        (f"mapping.check_digits.{code}", "check_digit_alone")
        for code in sorted({*mapping.check_digits}.difference(mapping.identifiers))
    ]
    if flaws:
        raise Refused(fields=flaws)


def _read_row(reading: Reading, row: int, cells: dict[str, str], mapping: ImportMapping) -> None:
    said: dict[str, Any] = {str(name): text for name, text in mapping.constants.items()}
    said |= {ours: cells[theirs] for ours, theirs in mapping.columns.items() if cells[theirs]}
    for name, text in said.items():
        if text.startswith(("=", "@")):
            reading.warn(row, name, "formula")
    _in_our_words(said)
    identifiers = [
        {
            "scheme": scheme,
            "value": cells[theirs],
            "check_digit": cells.get(mapping.check_digits.get(scheme, "")) or None,
        }
        for scheme, theirs in mapping.identifiers.items()
        if cells[theirs]
    ]
    if identifiers:
        said["identifiers"] = identifiers
    contact = {theirs: said.pop(ours) for ours, theirs in _CONTACT.items() if ours in said}
    if contact:
        said["contacts"] = [contact]
    try:
        entered = OrganizationIn.model_validate(said)
        values = service.checked(dict(entered), said)
    except ValidationError as invalid:
        for error in invalid.errors():
            reading.reject(row, ".".join(map(str, error["loc"])), error["type"], reason(dict(error)))
        return
    except Refused as refused:
        for where, code in refused.fields:
            reading.reject(row, where, code, **refused.params)
        return
    parts = [cells[column] for column in mapping.key] or [
        values[name] or "" for name in ("name", "address", "locality")
    ]
    key = " | ".join(" ".join(fold(part).split()) for part in parts)
    if not any(parts) or len(key) > LONGEST_KEY:
        reading.reject(row, "key", "key_too_long" if any(parts) else "key_missing", most=LONGEST_KEY)
        return
    for index, identifier in enumerate(values["identifiers"]):
        if checks.of_a_person(identifier):
            reading.warn(row, f"identifiers.{index}.value", "person_tax_number")
    content = json.dumps({name: values[name] for name in sorted(said)}, default=_as_json)
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:32]
    reading.entries.append(Entry(row, key, values, _same_set(frozenset(said)), fingerprint))


def _as_json(value: Any) -> Any:
    return value.model_dump() if isinstance(value, BaseModel) else str(value)


@cache
def _same_set(names: frozenset[str]) -> frozenset[str]:
    return names


# What others write, as we do. What is not understood stays as it is, and is refused by its field.


def _in_our_words(said: dict[str, Any]) -> None:
    codes = _codes()
    kind = said.get("organization_type", "")
    said["organization_type"] = codes["organization_type"].get(fold(kind), kind)
    for name in ("latitude", "longitude"):
        if name in said:
            with suppress(ValueError):
                said[name] = float(said[name].replace(",", "."))
    for name, between in _LISTS.items():
        if name in said:
            parts = dict.fromkeys(part for part in re.split(between, said[name].strip()) if part)
            said[name] = list(dict.fromkeys(codes.get(name, {}).get(fold(part), part) for part in parts))
    if "area" in said:
        said["area"] = codes["area"].get(fold(said["area"]), said["area"])
    if "legal_status" in said:
        said["legal_status"] = legal_statuses().get(plain(said["legal_status"]), said["legal_status"])
    if "founded_on" in said:
        said["founded_on"] = _date(said["founded_on"])
    if "website" in said and "://" not in said["website"]:
        said["website"] = f"https://{said['website']}"


@cache
def _codes() -> dict[str, dict[str, str]]:
    """Of what the pack knows by a code: what it is called, and the code itself."""
    pack = jurisdiction()
    known: dict[str, Iterable[Any]] = {
        "organization_type": pack.organization_types,
        "area": pack.areas,
        "themes": pack.registration.theme,
        "populations": pack.registration.population,
    }
    return {
        what: {fold(name): one.code for one in ones for name in (one.code, one.name)} for what, ones in known.items()
    }


def _date(text: str) -> date | str:
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year = found.groups()
    elif found := _YEAR_FIRST.fullmatch(text):
        year, month, day = found.groups()
    else:
        return text
    with suppress(ValueError):
        return date(int(year), int(month), int(day))
    return text


# Rows that say the same


def _judge_repeats(reading: Reading) -> None:
    """Rows with one key that say the same are one; that say different things, none of them: which is right, a person must tell."""
    repeats = set()
    for same in _grouped(reading.entries, lambda entry: [entry.key]):
        if len({fold(repr(entry.values)) for entry in same}) == 1:
            for entry in same[1:]:
                reading.warn(entry.row, "key", "row_repeated", first=same[0].row)
                repeats.add(entry.row)
        else:
            for entry in same:
                reading.reject(entry.row, "key", "key_repeated", rows=_rows(same))
    reading.repeated = len(repeats)
    reading.keep_but(repeats)
    for same in _grouped(reading.entries, _exclusive_numbers):
        for entry in same:
            reading.reject(entry.row, "identifiers", "number_repeated", rows=_rows(same))
    reading.keep_but(reading.rejected)
    for same in _grouped(reading.entries, _name_and_place):
        for entry in same[1:]:
            reading.warn(entry.row, "name", "name_repeated", first=same[0].row)


def _rows(entries: list[Entry]) -> str:
    return ", ".join(str(entry.row) for entry in entries[:10])


def _exclusive_numbers(entry: Entry) -> list[Any]:
    return [(one.scheme, one.value) for one in entry.values["identifiers"] if service.is_exclusive(one.scheme)]


def _name_and_place(entry: Entry) -> list[Any]:
    return [tuple(fold(entry.values[name] or "") for name in ("name", "locality", "territory"))]


def _grouped(entries: Iterable[Entry], by: Any) -> list[list[Entry]]:
    """The groups of more than one entry that share something."""
    groups: dict[Any, list[Entry]] = defaultdict(list)
    for entry in entries:
        for shared in by(entry):
            groups[shared].append(entry)
    return [group for group in groups.values() if len(group) > 1]
