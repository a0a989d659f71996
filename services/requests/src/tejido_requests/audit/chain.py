"""The chain that proves history unbroken: docs/decisions/0012-audit-chain.md.

Every entry of history and every access record gets a link, some seconds after it was committed. Nothing is asked of whoever writes
history, and nothing is counted to find what waits: an entry's `recorded_at` is when its transaction began, so once the oldest open
transaction is younger than an instant, no entry from before it can still appear.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from tejido_requests.audit.service import ACCESS, HISTORY, digest
from tejido_requests.models import AuditHead, AuditLink, HistoryEntry, Tombstone
from tejido_shared.db import Database

BATCH = 5_000
OVERLAP = timedelta(seconds=10)
"""How far back each run looks again, for a server clock that was set back a little."""
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
GENESIS = bytes(32)
"""What the first link takes for the hash before it."""
MOST_FINDINGS = 1_000
"""How many findings a report lists; it counts all."""
_EXPLAINED = 200
_LOCK = 0x7E11D0_A0D17
_LINK: Any = sa.inspect(AuditLink).local_table
_HEAD: Any = sa.inspect(AuditHead).local_table
_COVERED: dict[Any, tuple[str, ...]] = {
    ACCESS: ("id", "request_id", "at", "recorded_at", "subject", "what", "digest"),
    HISTORY: (*("id", "request_id", "at", "recorded_at", "kind", "author", "details", "calendar_version", "digest"),),
}
"""What the hash covers. What is encrypted is covered by its digest, so that it can be erased."""
_OPEN_SINCE = sa.text(
    "select least(now(), min(xact_start)) from pg_stat_activity"
    " where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()"
)


def link_hash(previous: bytes, covered: dict[str, Any]) -> bytes:
    """SHA-256 of the hash before and the entry as JSON: keys sorted, no spaces, UTF-8, instants in UTC, bytes in hexadecimal."""
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_as_json)
    return hashlib.sha256(previous + text.encode()).digest()


def _as_json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def seal(database: Database) -> int:
    """Gives every entry that has none its link. Returns how many; 0 too while another process does it.

    Entries that a slow transaction commits late are sealed by a later run, after those that came first.
    """
    with database.tx() as session:
        end = head(session)
        # First the instant, then the entries: what began before it and is not seen below has not committed anything.
        settled: datetime = session.execute(_OPEN_SINCE).scalar_one()
    since = end.sealed_until - OVERLAP if end else EARLIEST
    sealed = 0
    for table in _COVERED:
        after = (since, UUID(int=0))
        while True:
            with database.tx() as session:
                if not session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))):
                    return sealed
                entries = _recorded_after(session, table, after)
                if not entries:
                    break
                after = (entries[-1].recorded_at, entries[-1].id)
                # Access records come first, so once history is sealed up to here, all is.
                until = min(settled, after[0]) if table is HISTORY else None
                sealed += _seal(session, entries, until)
    return sealed


def _recorded_after(session: Session, table: Any, after: tuple[datetime, UUID]) -> Sequence[sa.Row[Any]]:
    columns = [table.c[name] for name in _COVERED[table]]
    place = sa.tuple_(table.c.recorded_at, table.c.id)
    query = sa.select(*columns).where(place > sa.tuple_(*map(sa.literal, after)))
    return session.execute(query.order_by(table.c.recorded_at, table.c.id).limit(BATCH)).all()


def _seal(session: Session, entries: Sequence[sa.Row[Any]], until: datetime | None) -> int:
    known = set(session.scalars(sa.select(_LINK.c.entry_id).where(_among(_LINK.c.entry_id, (e.id for e in entries)))))
    end = head(session)
    sequence, last, reached = (end.sequence, end.hash, end.sealed_until) if end else (0, GENESIS, None)
    links = []
    for entry in entries:
        if entry.id not in known:
            sequence, last = sequence + 1, link_hash(last, entry._asdict())
            links.append({"sequence": sequence, "entry_id": entry.id, "hash": last})
    if links:
        session.execute(sa.insert(_LINK), links)
    # An idle desk writes nothing: the mark moves only when something was found.
    if links or (until and (reached is None or until - reached > OVERLAP)):
        reached = max(filter(None, (until, reached)), default=EARLIEST)
        row = {"sequence": sequence, "hash": last, "sealed_until": reached}
        session.execute(insert(_HEAD).values(id=1, **row).on_conflict_do_update(index_elements=["id"], set_=row))
    return len(links)


def _among(column: Any, ids: Iterable[UUID]) -> sa.ColumnElement[bool]:
    """`in`, with one parameter however many they are."""
    return column == sa.any_(sa.literal(list(ids), ARRAY(sa.Uuid)))  # type: ignore[no-any-return]


def head(session: Session) -> sa.Row[Any] | None:
    """The last link: sequence, hash, sealed_until; none before the first."""
    return session.execute(sa.select(_HEAD.c.sequence, _HEAD.c.hash, _HEAD.c.sealed_until)).one_or_none()


@dataclass(frozen=True)
class Finding:
    """One thing wrong with the chain.

    `kind`: altered (the entry is not what was sealed), digest (its encrypted part is not), erased (that is gone and no tombstone
    says why), reordered, missing (the link's entry is gone), removed (links are gone; `until` is the last), truncated (the end is
    gone), appended (links nobody sealed), unsealed (an entry that the sealing never saw), head_not_found.
    """

    kind: str
    sequence: int | None = None
    until: int | None = None
    entry_id: UUID | None = None
    request_id: UUID | None = None


@dataclass
class Report:
    """What a walk along the chain found. `sequence` and `hash` are of its last link; `waiting` entries are too new to be sealed."""

    entries: int = 0
    accesses: int = 0
    erased: int = 0
    waiting: int = 0
    sequence: int = 0
    hash: bytes = GENESIS
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        self.counts[finding.kind] += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)


@dataclass(frozen=True)
class _Broken:
    """A link whose hash does not come of its entry and the link before."""

    link: sa.Row[Any]
    previous: bytes
    covered: dict[str, Any]


def verify(session: Session, *, start: int = 1, expected: bytes | None = None, minutes: int = 10) -> Report:
    """Walks the chain from link `start` on and recomputes all of it; a break is reported where it is, and the walk goes on from there.

    Needs a fresh session: all is read in one snapshot. `expected` is the hash of a link that was noted elsewhere: it must be in the
    chain. Entries may wait `minutes` for their link.
    """
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    session.execute(sa.text("set local statement_timeout = 0"))
    report = Report()
    broken: list[_Broken] = []
    known = session.execute(sa.select(_LINK).where(_LINK.c.sequence == start - 1)).one_or_none()
    previous: bytes | None = GENESIS if start == 1 else known.hash if known else None
    if previous is None:
        # Without the link before, the first one cannot be judged, and beyond the end there is nothing to judge.
        report.add(Finding("removed", start - 1))
    report.sequence, report.hash = start - 1, previous or GENESIS
    for links in _links(session, start):
        covered = _covered(session, links)
        excused: set[UUID] = set()
        if any(entry.emptied for entry in covered.values()):
            excused = _tombstoned(session, {entry.request_id for entry in covered.values() if entry.emptied})
        for link in links:
            if link.sequence != report.sequence + 1:
                report.add(Finding("removed", report.sequence + 1, link.sequence - 1))
                previous = None
            entry = covered.get(link.entry_id)
            if entry is None:
                report.add(Finding("missing", link.sequence, entry_id=link.entry_id))
            else:
                report.entries += entry.table is HISTORY
                report.accesses += entry.table is ACCESS
                if previous is not None and link_hash(previous, entry.covered) != link.hash:
                    if len(broken) < _EXPLAINED:
                        broken.append(_Broken(link, previous, entry.covered))
                    else:
                        report.add(Finding("altered", link.sequence, None, link.entry_id, entry.request_id))
                if entry.emptied:
                    report.erased += 1
                    if entry.request_id not in excused:
                        report.add(Finding("erased", link.sequence, None, link.entry_id, entry.request_id))
                elif entry.falsified:
                    report.add(Finding("digest", link.sequence, None, link.entry_id, entry.request_id))
            previous = link.hash
            report.sequence, report.hash = link.sequence, link.hash
    _explain(report, broken)
    _judge_end(session, report, start, expected)
    _judge_unsealed(session, report, timedelta(minutes=minutes))
    return report


def _links(session: Session, start: int) -> Iterator[Sequence[sa.Row[Any]]]:
    query = sa.select(_LINK).order_by(_LINK.c.sequence).limit(BATCH)
    while links := session.execute(query.where(_LINK.c.sequence >= start)).all():
        yield links
        start = links[-1].sequence + 1


@dataclass(frozen=True)
class _Entry:
    table: Any
    request_id: UUID
    covered: dict[str, Any]
    emptied: bool
    falsified: bool


def _covered(session: Session, links: Sequence[sa.Row[Any]]) -> dict[UUID, _Entry]:
    """What these links cover, as it lies in the tables now."""
    wanted = [link.entry_id for link in links]
    found = {}
    for table, names in reversed(_COVERED.items()):
        hidden = [sa.type_coerce(table.c[name], sa.LargeBinary) for name in ("reason", "evidence") if name in table.c]
        rows = session.execute(sa.select(*(table.c[name] for name in names), *hidden).where(_among(table.c.id, wanted)))
        for row in rows:
            values, sealed = row[: len(names)], row[len(names) :]
            covered = dict(zip(names, values, strict=True))
            computed = digest(*sealed, *[None] * (2 - len(sealed)))
            found[row.id] = _Entry(
                table,
                row.request_id,
                covered,
                emptied=computed is None and covered["digest"] is not None,
                falsified=computed is not None and computed != covered["digest"],
            )
        if len(found) == len(wanted):
            break
    return found


def _tombstoned(session: Session, requests: set[UUID]) -> set[UUID]:
    """Those of these requests whose data retention erased: they have a tombstone, and their history says so."""
    told = sa.exists().where(HistoryEntry.request_id == Tombstone.request_id, HistoryEntry.kind == "tombstoned")
    return set(session.scalars(sa.select(Tombstone.request_id).where(Tombstone.request_id.in_(requests), told)))


def _explain(report: Report, broken: list[_Broken]) -> None:
    """A link that would be right with another broken one's entry, or after another one's link, changed its place."""
    before = {one.previous for one in broken} | {one.link.hash for one in broken}
    for one in broken:
        exchanged = any(link_hash(one.previous, other.covered) == one.link.hash for other in broken)
        moved = any(link_hash(hash_, one.covered) == one.link.hash for hash_ in before)
        kind = "reordered" if exchanged or moved else "altered"
        report.add(Finding(kind, one.link.sequence, None, one.link.entry_id, one.covered["request_id"]))


def _judge_end(session: Session, report: Report, start: int, expected: bytes | None) -> None:
    kept = head(session)
    sequence, hash_ = (kept.sequence, kept.hash) if kept else (0, GENESIS)
    if report.sequence < sequence:
        report.add(Finding("truncated", report.sequence + 1, sequence))
    elif report.sequence > sequence and report.sequence >= start:
        report.add(Finding("appended", sequence + 1, report.sequence))
    elif report.hash != hash_ and report.sequence >= start:
        report.add(Finding("truncated", sequence, sequence))
    if expected is not None and session.scalar(sa.select(_LINK.c.sequence).where(_LINK.c.hash == expected)) is None:
        report.add(Finding("head_not_found"))


def _judge_unsealed(session: Session, report: Report, patience: timedelta) -> None:
    for table in _COVERED:
        sealed = sa.exists().where(_LINK.c.entry_id == table.c.id)
        fresh = table.c.recorded_at.between(sa.func.now() - patience, sa.func.now() + patience)
        query = sa.select(table.c.id, table.c.request_id, fresh.label("fresh")).where(~sealed)
        for row in session.execute(query.order_by(table.c.recorded_at, table.c.id)):
            if row.fresh:
                report.waiting += 1
            else:
                report.add(Finding("unsealed", None, None, row.id, row.request_id))
