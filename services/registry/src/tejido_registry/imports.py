"""Bringing another register in: read and judge the file, compare it with what is here, write what is new.

Reading needs no transaction. An organization is known again by the source's name and a key made of the file's own columns, so
that a second run changes nothing. A row whose content is as it was last imported is left alone, whatever officials corrected here
since; a row that changed at its source brings what its cells say. An empty cell never erases anything.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session, selectinload

from tejido_registry import checks, service, tables
from tejido_registry.models import ExternalReference, Organization
from tejido_registry.queries import fold
from tejido_registry.schemas import ImportMapping, ImportOut, OrganizationIn, RowProblem
from tejido_registry.service import PACKAGE
from tejido_registry.settings import jurisdiction
from tejido_shared import i18n
from tejido_shared.problems import reason
from tejido_shared.refusals import Refused

LONGEST_KEY = 600
_LOCK = 0x7E11D1
_CONTACT = {"contact_name": "name", "contact_post": "post", "email": "email", "phone": "phone"}


@dataclass(frozen=True)
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
        self._note("error", row, where, code, text, params)

    def warn(self, row: int, where: str, code: str, **params: Any) -> None:
        self._note("warning", row, where, code, None, params)

    def _note(self, severity: Any, row: int, where: str, code: str, text: str | None, params: dict[str, Any]) -> None:
        text = text or i18n.text(PACKAGE, f"field.{code}", **params)
        self.problems.append(RowProblem(row=row, field=where, code=code, reason=text, severity=severity))

    def keep_but(self, rows: set[int]) -> None:
        self.entries = [entry for entry in self.entries if entry.row not in rows and entry.row not in self.rejected]


# Reading


def read(data: bytes, mapping: ImportMapping, most_rows: int | None = None) -> Reading:
    """Reads and judges a file. Raises `Refused` when the file or the mapping as a whole cannot be used."""
    _judge(mapping)
    columns = {*mapping.columns.values(), *mapping.identifiers.values(), *mapping.check_digits.values()}
    try:
        table = tables.read(data, {*columns, *mapping.key, *mapping.only})
    except tables.Unreadable as error:
        raise Refused(fields=[("file", error.code)], **error.params) from None
    if most_rows is not None and len(table.rows) > most_rows:
        raise Refused(fields=[("file", "too_many_rows")], most=most_rows, rows=len(table.rows))
    types = {fold(name): kind.code for kind in jurisdiction().organization_types for name in (kind.code, kind.name)}
    reading = Reading()
    for row, cells in table.rows:
        if len(cells) != len(table.header):
            reading.rows += 1
            reading.reject(row, "", "cell_count", cells=len(cells), columns=len(table.header))
            continue
        named = dict(zip(table.header, cells, strict=True))
        if all(named[column] == value for column, value in mapping.only.items()):
            reading.rows += 1
            _read_row(reading, row, named, mapping, types)
    _judge_repeats(reading)
    return reading


def _judge(mapping: ImportMapping) -> None:
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


def _read_row(reading: Reading, row: int, cells: dict[str, str], mapping: ImportMapping, types: dict[str, str]) -> None:
    said: dict[str, Any] = {str(name): text for name, text in mapping.constants.items()}
    said |= {ours: cells[theirs] for ours, theirs in mapping.columns.items() if cells[theirs]}
    for name, text in said.items():
        if text.startswith(("=", "@")):
            reading.warn(row, name, "formula")
    kind = said.get("organization_type", "")
    said["organization_type"] = types.get(fold(kind), kind)
    for name in {"latitude", "longitude"} & said.keys():
        with suppress(ValueError):
            said[name] = float(said[name].replace(",", "."))
    if "other_names" in said:
        said["other_names"] = [said["other_names"]]
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
            reading.reject(row, where, code)
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
    content = json.dumps({name: values[name] for name in sorted(said)}, default=BaseModel.model_dump)
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:32]
    reading.entries.append(Entry(row, key, values, frozenset(said), fingerprint))


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


# Comparing and writing


def run(
    session: Session,
    source: str,
    reading: Reading,
    author: str | None,
    *,
    dry_run: bool = False,
    all_or_nothing: bool = False,
) -> ImportOut:
    """Imports what was read, or only says what it would do. Raises `Refused` while another import is running."""
    if not dry_run and not session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))):
        raise Refused("import_running")
    known = {
        key: (organization_id, fingerprint)
        for key, organization_id, fingerprint in session.execute(
            sa.select(ExternalReference.key, ExternalReference.organization_id, ExternalReference.fingerprint).where(
                ExternalReference.source == source
            )
        )
    }
    touched = [entry for entry in reading.entries if known.get(entry.key, (None, ""))[1] != entry.fingerprint]
    _refuse_taken(session, reading, touched, {key: owner for key, (owner, _) in known.items()})
    altered = [(known[entry.key][0], entry) for entry in touched if entry.key in known]
    changes = list(_changes(session, reading, altered, lock=not dry_run))
    reading.keep_but(reading.rejected)
    fresh = [entry for entry in reading.entries if entry.key not in known]
    applied = not dry_run and not (all_or_nothing and reading.rejected)
    if applied:
        _change(session, source, changes, author)
        _create(session, source, fresh, author)
        _remember(session, source, [entry for _, entry in altered if entry.row not in reading.rejected])
    return ImportOut(
        source=source,
        applied=applied,
        rows=reading.rows,
        created=len(fresh),
        changed=len(changes),
        unchanged=len(reading.entries) - len(fresh) - len(changes),
        repeated=reading.repeated,
        rejected=len(reading.rejected),
        problems=sorted(reading.problems, key=lambda problem: (problem.row, problem.severity)),
    )


def _refuse_taken(session: Session, reading: Reading, entries: list[Entry], owner_of: dict[str, UUID]) -> None:
    """Rejects rows with a number that another organization of the register has."""
    for batch in _batches(entries):
        owners = service.taken(session, [one for entry in batch for one in entry.values["identifiers"]])
        for entry in batch:
            for index, one in enumerate(entry.values["identifiers"]):
                owner = owners.get((one.scheme, one.value))
                if owner is not None and owner != owner_of.get(entry.key):
                    reading.reject(entry.row, f"identifiers.{index}.value", "identifier_taken")
    reading.keep_but(reading.rejected)


Change = tuple[Organization, dict[str, Any], Entry]


def _changes(session: Session, reading: Reading, altered: list[tuple[UUID, Entry]], *, lock: bool) -> Iterator[Change]:
    """The organizations here that do not yet say what their rows say, with the differences."""
    for batch in _batches(altered):
        query = sa.select(Organization).where(Organization.id.in_([organization_id for organization_id, _ in batch]))
        query = query.options(selectinload(Organization.contacts))
        found = {one.id: one for one in session.scalars(query.with_for_update() if lock else query)}
        for organization_id, entry in batch:
            if entry.row in reading.rejected:
                continue
            organization = found[organization_id]
            try:
                different = service.differences(organization, _said_of(organization, entry))
            except Refused as refused:
                for where, code in refused.fields:
                    reading.reject(entry.row, where, code)
            else:
                if different:
                    yield organization, different, entry


def _said_of(organization: Organization, entry: Entry) -> dict[str, Any]:
    """What a row says of an organization that is here: its lists add to ours, except that a number takes the place of one of its scheme."""
    # The registration status is moved by acts, never by a file.
    said = {name: entry.values[name] for name in entry.said - {"registration_status"}}
    present = service.values_of(organization)
    if "identifiers" in said:
        schemes = {one.scheme for one in said["identifiers"]}
        kept = [one for one in present["identifiers"] if one.scheme not in schemes]
        said["identifiers"] = kept + said["identifiers"]
    for name in {"contacts", "other_names"} & said.keys():
        said[name] = present[name] + [one for one in said[name] if one not in present[name]]
    return said


def _change(session: Session, source: str, changes: list[Change], author: str | None) -> None:
    for organization, different, _ in changes:
        service.apply(organization, different)
    service.flush(session)
    for organization, different, entry in changes:
        service.record(
            session, organization, "imported", author, source=source, row=entry.row, fields=sorted(different)
        )
    told = [organization for organization, different, _ in changes if not service.PUBLISHED.isdisjoint(different)]
    service.announce(session, told)


def _create(session: Session, source: str, entries: list[Entry], author: str | None) -> None:
    if not entries:
        return
    details = [{"source": source, "row": entry.row} for entry in entries]
    ids = service.enter(session, [entry.values for entry in entries], "imported", author, details)
    references = [
        {"source": source, "key": entry.key, "organization_id": key, "fingerprint": entry.fingerprint}
        for key, entry in zip(ids, entries, strict=True)
    ]
    session.execute(sa.insert(ExternalReference), references)


def _remember(session: Session, source: str, entries: list[Entry]) -> None:
    if entries:
        session.execute(
            sa.update(ExternalReference),
            [{"source": source, "key": one.key, "fingerprint": one.fingerprint} for one in entries],
        )


_Item = TypeVar("_Item")


def _batches(items: list[_Item]) -> Iterator[list[_Item]]:
    for start in range(0, len(items), service.BATCH):
        yield items[start : start + service.BATCH]
