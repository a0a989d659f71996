"""Who is compared with whom, and what was found."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_registry.duplicates.profiles import Facts
from tejido_registry.duplicates.schemas import PairQuery
from tejido_registry.models import (
    Contact,
    DuplicatePair,
    Identifier,
    Mandate,
    MatchCheck,
    MatchKey,
    Organization,
    Person,
)

SORTABLE = {"score": DuplicatePair.score, "found_at": DuplicatePair.found_at}
BLOCK = 100
"""A key that more organizations have than this tells nobody apart."""
_COMPARED = (
    *(Organization.id, Organization.version, Organization.name, Organization.public_name, Organization.other_names),
    *(Organization.locality, Organization.territory, Organization.area, Organization.address),
    *(Organization.latitude, Organization.longitude, Organization.merged_into),
)


def due(session: Session, limit: int) -> Sequence[UUID]:
    """Organizations that are new, or have changed, since they were last compared."""
    query = _due(sa.select(Organization.id)).order_by(Organization.id).limit(limit)
    return session.scalars(query).all()


def count_due(session: Session) -> int:
    return session.scalar(_due(sa.select(sa.func.count()))) or 0


def _due(query: sa.Select[Any]) -> sa.Select[Any]:
    seen = MatchCheck.organization_id == Organization.id
    return (
        query.select_from(Organization)
        .outerjoin(MatchCheck, seen)
        .where(MatchCheck.version.is_distinct_from(Organization.version))
    )


def facts(session: Session, ids: Collection[UUID]) -> dict[UUID, Facts]:
    """What is compared of these organizations, with the keys that are stored of them."""
    rows = session.execute(sa.select(*_COMPARED).where(Organization.id.in_(ids)))
    found = {row.id: Facts(row) for row in rows}
    numbers = sa.select(Identifier.organization_id, Identifier.scheme, Identifier.value, Identifier.exclusive)
    for organization_id, scheme, value, exclusive in session.execute(
        numbers.where(Identifier.organization_id.in_(ids))
    ):
        found[organization_id].identifiers.append((scheme, value, exclusive))
    stored = sa.select(MatchKey.organization_id, MatchKey.key).where(MatchKey.organization_id.in_(ids))
    for organization_id, key in session.execute(stored.where(MatchKey.key.regexp_match("^[pe]:"))):
        found[organization_id].keys.add(key)
    for organization_id, person in session.execute(_board(ids)):
        found[organization_id].board.add(person)
    return found


def _person() -> sa.ColumnElement[str]:
    """Who a person is, in whichever board: by the document, else by the row."""
    return sa.func.coalesce(sa.func.encode(Person.document_mark, "hex"), sa.cast(Person.id, sa.Text))


def _board(ids: Collection[UUID]) -> sa.Select[UUID, str]:
    query = sa.select(Mandate.organization_id, _person()).join(Person, Person.id == Mandate.person_id)
    valid = Mandate.ended_why.is_(None) | (Mandate.ended_why != "error")
    return query.where(Mandate.organization_id.in_(ids), valid).distinct()


def contacts(session: Session, ids: Collection[UUID]) -> dict[UUID, list[tuple[str | None, str | None]]]:
    """E-mail address and telephone of each contact."""
    found: dict[UUID, list[tuple[str | None, str | None]]] = defaultdict(list)
    rows = session.execute(
        sa.select(Contact.organization_id, Contact.email, Contact.phone).where(Contact.organization_id.in_(ids))
    )
    for organization_id, email, phone in rows:
        found[organization_id].append((email, phone))
    return found


# Counting a block stops where it is too big: nobody needs to know by how much.
_CANDIDATES = sa.text("""
with asked as materialized (
    select organization_id, key from unnest(cast(:owners as uuid[]), cast(:keys as text[])) as given(organization_id, key)
), small as materialized (
    select key from (select distinct key from asked) as wanted
    where (select count(*) from (select 1 from match_key where match_key.key = wanted.key limit :most) as block) < :most
)
select asked.organization_id, other.organization_id
from asked join small using (key) join match_key as other using (key)
where other.organization_id <> asked.organization_id
union
select mine.organization_id, other.organization_id
from mandate as mine join mandate as other on other.person_id = mine.person_id
where mine.organization_id = any(:ids) and other.organization_id <> mine.organization_id
union
select mine.organization_id, other.organization_id
from mandate as mine join person on person.id = mine.person_id
join person as same on same.document_mark = person.document_mark
join mandate as other on other.person_id = same.id
where mine.organization_id = any(:ids) and other.organization_id <> mine.organization_id
""")


def candidates(session: Session, wanted: Iterable[tuple[UUID, str]], ids: Collection[UUID]) -> set[tuple[UUID, UUID]]:
    """Pairs of one of `ids` and another organization that share a key of `wanted`, or a person in their boards."""
    listed = list(wanted)
    asked = {
        "owners": [organization_id for organization_id, _ in listed],
        "keys": [key for _, key in listed],
        "ids": list(ids),
        "most": BLOCK + 1,
    }
    return {(one, other) for one, other in session.execute(_CANDIDATES, asked)}


def pair(session: Session, pair_id: UUID, *, lock: bool = False) -> DuplicatePair | None:
    return session.get(DuplicatePair, pair_id, with_for_update=lock or None)


def pairs(asked: PairQuery) -> sa.Select[DuplicatePair]:
    query = sa.select(DuplicatePair).where(DuplicatePair.status == asked.status)
    if asked.organization_id is not None:
        one = asked.organization_id
        query = query.where((DuplicatePair.first_id == one) | (DuplicatePair.second_id == one))
    return query


def organizations(session: Session, ids: Collection[UUID]) -> dict[UUID, Organization]:
    return {one.id: one for one in session.scalars(sa.select(Organization).where(Organization.id.in_(ids)))}


def counts(session: Session) -> tuple[dict[str, int], dict[str, int]]:
    """Pairs by status, and pending ones by how likely they are."""
    by_status = sa.select(DuplicatePair.status, sa.func.count()).group_by(DuplicatePair.status)
    band = sa.case(*((DuplicatePair.score >= least, str(least)) for least in (0.97, 0.9, 0.7)), else_="0.5")
    by_score = sa.select(band, sa.func.count()).where(DuplicatePair.status == "pending").group_by(band)
    return (
        {row[0]: row[1] for row in session.execute(by_status)},
        {row[0]: row[1] for row in session.execute(by_score)},
    )
