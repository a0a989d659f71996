"""Bringing another register in: compare what was read with what is here, and write what is new, batch by batch.

An organization is known again by the source's name and a key made of the file's own columns. So a second run changes nothing, and one
that was broken off is finished by running it again: what was written by then is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_registry import service
from tejido_registry.imports import queries
from tejido_registry.imports.reading import Entry, problem
from tejido_registry.imports.schemas import ImportMapping, RowProblem
from tejido_registry.models import ExternalReference, ImportMappingSaved, Organization
from tejido_registry.territories import service as territories
from tejido_registry.territories.shapes import Place
from tejido_shared.clock import now
from tejido_shared.refusals import Refused


@dataclass
class Written:
    """What became of a batch, or would."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    rejected: set[int] = field(default_factory=set)

    def reject(self, row: int, where: str, code: str, **params: Any) -> None:
        self.rejected.add(row)
        self.problems.append(problem("error", row, where, code, **params))

    def warn(self, row: int, where: str, code: str) -> None:
        self.problems.append(problem("warning", row, where, code))


def write(
    session: Session, source: str, entries: Sequence[Entry], author: str | None, *, dry_run: bool = False
) -> Written:
    """Imports at most `service.BATCH` rows, or only says what would become of them."""
    written = Written()
    known = queries.references(session, source, [entry.key for entry in entries])
    touched = [entry for entry in entries if known.get(entry.key, (None, ""))[1] != entry.fingerprint]
    written.unchanged = len(entries) - len(touched)
    owners = {key: organization_id for key, (organization_id, _) in known.items()}
    touched = _without_taken(session, written, touched, owners)
    places = territories.places(session, [_point(entry.values) for entry in touched])
    located = list(zip(touched, places, strict=True))
    for entry, at in located:
        if at.warning is not None and "latitude" in entry.said:
            written.warn(entry.row, "latitude", at.warning)
    altered = [(owners[entry.key], entry, at) for entry, at in located if entry.key in owners]
    fresh = [(entry, at) for entry, at in located if entry.key not in owners]
    _change(session, source, written, altered, author, dry_run=dry_run)
    if fresh and not dry_run:
        _create(session, source, fresh, author)
    written.created = len(fresh)
    return written


def _without_taken(session: Session, written: Written, entries: list[Entry], owners: dict[str, UUID]) -> list[Entry]:
    """Rejects rows with a number that another organization of the register has."""
    taken = service.taken(session, [one for entry in entries for one in entry.values["identifiers"]])
    for entry in entries:
        for index, one in enumerate(entry.values["identifiers"]):
            owner = taken.get((one.scheme, one.value))
            if owner is not None and owner != owners.get(entry.key):
                written.reject(entry.row, f"identifiers.{index}.value", "identifier_taken")
    return [entry for entry in entries if entry.row not in written.rejected]


def _change(
    session: Session,
    source: str,
    written: Written,
    altered: list[tuple[UUID, Entry, Place]],
    author: str | None,
    *,
    dry_run: bool,
) -> None:
    """Brings what the rows say to the organizations that do not yet say so."""
    if not altered:
        return
    found = queries.organizations(session, {organization_id for organization_id, _, _ in altered}, lock=not dry_run)
    changes: list[tuple[Organization, dict[str, Any], Entry]] = []
    remembered = []
    for organization_id, entry, at in altered:
        organization = found[organization_id]
        try:
            different = _differences(organization, _said_of(organization, entry), at)
        except Refused as refused:
            for where, code in refused.fields:
                written.reject(entry.row, where, code, **refused.params)
            continue
        remembered.append({"source": source, "key": entry.key, "fingerprint": entry.fingerprint})
        if not different:
            written.unchanged += 1
            continue
        written.changed += 1
        if not dry_run:
            service.apply(organization, different)
            changes.append((organization, different, entry))
    if dry_run:
        return
    service.flush(session)
    for organization, different, entry in changes:
        service.record(
            session, organization, "imported", author, source=source, row=entry.row, fields=sorted(different)
        )
    told = {one.id: one for one, different, _ in changes if not service.PUBLISHED.isdisjoint(different)}
    service.announce(session, list(told.values()))
    if remembered:
        session.execute(sa.update(ExternalReference), remembered)


def _differences(organization: Organization, said: dict[str, Any], at: Place) -> dict[str, Any]:
    """What the organization does not yet say, and what its point lies in if the row gives one. Raises `Refused`."""
    different = service.differences(organization, said)
    if "latitude" in said:
        current = service.values_of(organization)
        wanted = service.placed(current | different, at.area, at.neighborhood)
        different |= {name: wanted[name] for name in wanted if wanted[name] != current[name]}
    return different


def _point(values: dict[str, Any]) -> tuple[float | None, float | None]:
    return values["latitude"], values["longitude"]


def _said_of(organization: Organization, entry: Entry) -> dict[str, Any]:
    """What a row says of an organization that is here: its lists add to ours, except that a number takes the place of one of its scheme."""
    # The registration status is moved by acts, never by a file.
    said = {name: entry.values[name] for name in entry.said - {"registration_status"}}
    present = service.values_of(organization)
    if "identifiers" in said:
        schemes = {one.scheme for one in said["identifiers"]}
        kept = [one for one in present["identifiers"] if one.scheme not in schemes]
        said["identifiers"] = kept + said["identifiers"]
    for name in {"contacts", "other_names", "themes", "populations"} & said.keys():
        said[name] = present[name] + [one for one in said[name] if one not in present[name]]
    return said


def _create(session: Session, source: str, entries: list[tuple[Entry, Place]], author: str | None) -> None:
    details = [{"source": source, "row": entry.row} for entry, _ in entries]
    values = [service.placed(entry.values, at.area, at.neighborhood) for entry, at in entries]
    ids = service.enter(session, values, "imported", author, details)
    references = [
        {"source": source, "key": entry.key, "organization_id": key, "fingerprint": entry.fingerprint}
        for key, (entry, _) in zip(ids, entries, strict=True)
    ]
    session.execute(sa.insert(ExternalReference), references)


# How a source was read the last time


def saved_mapping(session: Session, source: str) -> ImportMapping:
    """Raises `Refused` if this source was never read, or what was kept is no mapping any more."""
    saved = session.get(ImportMappingSaved, source)
    if saved is None:
        raise Refused("mapping_unknown", "mapping", source=source)
    return ImportMapping.model_validate(saved.mapping)


def save_mapping(session: Session, source: str, mapping: ImportMapping, author: str | None) -> None:
    row = insert(ImportMappingSaved).values(
        source=source, mapping=mapping.model_dump(), saved_by=author, saved_at=now()
    )
    changed = {name: row.excluded[name] for name in ("mapping", "saved_by", "saved_at")}
    different = ImportMappingSaved.mapping != row.excluded.mapping
    session.execute(row.on_conflict_do_update(index_elements=["source"], set_=changed, where=different))
