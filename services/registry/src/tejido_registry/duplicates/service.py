"""Finding organizations that may be entered twice, and remembering what a person said of them. Each takes a session, none commits."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_registry.duplicates import queries
from tejido_registry.duplicates.profiles import Facts, keys_of, personal_keys, profile_of
from tejido_registry.duplicates.scoring import THRESHOLD, Judgement, judge
from tejido_registry.models import DuplicatePair, MatchCheck, MatchKey
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.refusals import Refused

BATCH = 100
"""Organizations of one transaction: PostgreSQL ends one that says nothing for half a minute."""
_LOCK = 0x7E11D3
Pair = tuple[UUID, UUID]


def check_due(session: Session) -> int:
    """Compares the next organizations that are new or have changed. Returns how many; none while another process does."""
    if not session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))):
        return 0
    ids = queries.due(session, BATCH)
    if ids:
        check(session, ids)
    return len(ids)


def check(session: Session, ids: Sequence[UUID]) -> None:
    """Compares these organizations with all that they share a key with.

    Pairs nobody has judged are found, judged anew or forgotten; what a person decided stays. One that was merged is in no pair.
    """
    found = queries.facts(session, ids)
    alive = [key for key in ids if found[key].organization.merged_into is None]
    wanted = _store_keys(session, ids, alive, found)
    pairs = queries.candidates(session, wanted, alive) if alive else set()
    others = queries.facts(session, {other for _, other in pairs} - found.keys())
    found |= others
    profiles = {key: profile_of(one) for key, one in found.items() if one.organization.merged_into is None}
    judged: dict[Pair, Judgement] = {}
    for one, other in {_in_order(one, other) for one, other in pairs}:
        if one in profiles and other in profiles:
            judgement = judge(profiles[one], profiles[other])
            if judgement.score >= THRESHOLD:
                judged[one, other] = judgement
    _keep(session, ids, judged)
    seen = insert(MatchCheck).values(
        [{"organization_id": key, "version": found[key].organization.version} for key in ids]
    )
    session.execute(
        seen.on_conflict_do_update(index_elements=["organization_id"], set_={"version": seen.excluded.version})
    )


def _store_keys(
    session: Session, ids: Sequence[UUID], alive: Sequence[UUID], found: dict[UUID, Facts]
) -> list[tuple[UUID, str]]:
    """Stores the keys of these organizations anew. Returns those to look for."""
    session.execute(sa.delete(MatchKey).where(MatchKey.organization_id.in_(ids)))
    contacts = queries.contacts(session, alive)
    rows, wanted = [], []
    for key in alive:
        facts = found[key]
        plain = keys_of(facts.organization, facts.identifiers)
        stored, looked_for = personal_keys(contacts.get(key, []))
        facts.keys = looked_for
        rows += [{"key": one, "organization_id": key} for one in plain | stored]
        wanted += [(key, one) for one in plain | looked_for]
    if rows:
        session.execute(sa.insert(MatchKey), rows)
    return wanted


def _keep(session: Session, ids: Collection[UUID], judged: dict[Pair, Judgement]) -> None:
    pair = DuplicatePair
    mine = pair.first_id.in_(ids) | pair.second_id.in_(ids)
    pending = session.execute(sa.select(pair.id, pair.first_id, pair.second_id).where(mine, pair.status == "pending"))
    gone = [row.id for row in pending if (row.first_id, row.second_id) not in judged]
    if gone:
        session.execute(sa.delete(pair).where(pair.id.in_(gone)))
    if not judged:
        return
    instant = now()
    rows = insert(pair).values(
        [
            {
                "id": new_id(),
                "first_id": first,
                "second_id": second,
                "score": judgement.score,
                "signals": judgement.signals,
                "status": "pending",
                "found_at": instant,
            }
            for (first, second), judgement in sorted(judged.items())
        ]
    )
    new = {"score": rows.excluded.score, "signals": rows.excluded.signals}
    session.execute(
        rows.on_conflict_do_update(
            index_elements=["first_id", "second_id"],
            set_=new,
            where=(pair.status == "pending") & (pair.signals != rows.excluded.signals),
        )
    )


def _in_order(one: UUID, other: UUID) -> Pair:
    return (one, other) if one < other else (other, one)


def compare_all_again(session: Session) -> int:
    """Everything is to be compared anew, in the background. Returns how many organizations that are."""
    session.execute(sa.delete(MatchCheck))
    return queries.count_due(session)


def declare_different(session: Session, pair: DuplicatePair, author: str, reason: str | None) -> None:
    """They are two, for ever. Said again it stays as it was said first. Raises `Refused` if they were merged."""
    if pair.status == "merged":
        raise Refused("pair_merged")
    if pair.status == "pending":
        pair.status, pair.decided_by, pair.decided_at, pair.reason = "different", author, now(), reason
        session.flush()


def merged(session: Session, one: UUID, other: UUID, author: str) -> None:
    """A person found that the two are one; other pairs with the one that is gone wait for nobody."""
    first, second = _in_order(one, other)
    row = insert(DuplicatePair).values(
        id=new_id(),
        first_id=first,
        second_id=second,
        score=1.0,
        signals={},
        status="merged",
        found_at=now(),
        decided_by=author,
        decided_at=now(),
    )
    said = {name: row.excluded[name] for name in ("status", "decided_by", "decided_at")}
    session.execute(row.on_conflict_do_update(index_elements=["first_id", "second_id"], set_=said))


def not_merged(session: Session, one: UUID, other: UUID) -> None:
    """The merge was undone: the pair is for the next comparison to find."""
    first, second = _in_order(one, other)
    pair = DuplicatePair
    same = (pair.first_id == first) & (pair.second_id == second) & (pair.status == "merged")
    session.execute(sa.delete(pair).where(same))


def figures(session: Session) -> tuple[dict[str, int], dict[str, int], int]:
    by_status, by_score = queries.counts(session)
    zero: dict[str, int] = defaultdict(int, by_status)
    return {name: zero[name] for name in ("pending", "different", "merged")}, by_score, queries.count_due(session)
