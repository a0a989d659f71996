"""What may be read, and by whom."""

import math
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import REGCONFIG
from sqlalchemy.orm import Session

from tejido_registry.checks import fold as fold
from tejido_registry.models import HistoryEntry, Identifier, Organization
from tejido_registry.schemas import OrganizationQuery
from tejido_shared.auth import Principal
from tejido_shared.jurisdiction import Role
from tejido_shared.refusals import NotForThem, Refused

LISTED = "be_listed"
"""The pack's purpose that says what the public may see at all."""
OFFICIALS = (Role.REGISTRAR, Role.REGISTER_AUTHORITY, Role.OFFICER, Role.HEAD, Role.AUDITOR)
SORTABLE = {"name": Organization.sort_name, "registered_at": Organization.registered_at}
SIMILAR = 0.4
"""From which word similarity (0 to 1, pg_trgm) on a word is taken for another that was mistyped: two letters that changed places."""
_SIMILAR_IF_SHORT = 0.5
_SHORT = 5
"""Letters up to which a word resembles too many at `SIMILAR`."""
_WORDS = 20
_SURE = 4
"""Letters from which on a word may be mistyped; a shorter one resembles too many."""
_METERS_OF_A_DEGREE = 111_195.0
_EARTH = 6_371_009.0
Box = tuple[float, float, float, float]
"""West, south, east, north, in degrees."""
FOR_OFFICIALS = ("legal_status", "mandate_status", "freshness", "neighborhood")
"""Filters by what the public is not shown; whoever acts for an organization has them for their own."""
HISTORY_SORTABLE = {"at": HistoryEntry.at}


def is_official(principal: Principal | None) -> bool:
    return principal is not None and principal.has(*OFFICIALS)


def acts_for(principal: Principal | None, organization: Organization) -> bool:
    """Whether the caller acts for this organization: represents it, as the token says, or began it on line."""
    return principal is not None and (
        principal.represents(organization.id)
        or (not organization.on_behalf and organization.captured_by == principal.subject)
    )


def of(principal: Principal) -> sa.ColumnElement[bool]:
    """The organizations that the caller acts for."""
    begun = (Organization.captured_by == principal.subject) & ~Organization.on_behalf
    return begun | Organization.id.in_(principal.organizations) if principal.organizations else begun


def listed() -> sa.ColumnElement[bool]:
    """The organizations that the public may see: as the pack's rule of standing says, and was last judged."""
    return (Organization.standing[LISTED] == sa.literal_column("'[]'::jsonb")) & Organization.merged_into.is_(None)


def is_listed(organization: Organization) -> bool:
    return organization.standing.get(LISTED) == [] and organization.merged_into is None


def visible_to(principal: Principal | None) -> sa.Select[Organization]:
    """The organizations a caller may see: all for officials, their own for who acts for them, the listed ones for everybody."""
    query = sa.select(Organization)
    return query if is_official(principal) else query.where(_visible_to_stranger(principal))


def _visible_to_stranger(principal: Principal | None) -> sa.ColumnElement[bool]:
    return listed() if principal is None else listed() | of(principal)


def one(
    session: Session, principal: Principal | None, organization_id: UUID, *, lock: bool = False
) -> Organization | None:
    """Who knows the key of one that was merged is told where it lives on."""
    query = sa.select(Organization).where(Organization.id == organization_id)
    if not is_official(principal):
        query = query.where(_visible_to_stranger(principal) | Organization.merged_into.is_not(None))
    return session.scalar(query.with_for_update() if lock else query)


def box_of(text: str | None) -> Box | None:
    """west,south,east,north. Raises `Refused`."""
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        west = math.nan
    else:
        if -180 <= west <= east <= 180 and -90 <= south <= north <= 90:
            return west, south, east, north
    raise Refused("bbox", "query.bbox")


def point_of(text: str | None) -> tuple[float, float] | None:
    """longitude,latitude. Raises `Refused`."""
    if text is None:
        return None
    try:
        longitude, latitude = (float(part) for part in text.split(","))
    except ValueError:
        longitude = math.nan
    else:
        if -180 <= longitude <= 180 and -90 <= latitude <= 90:
            return longitude, latitude
    raise Refused("near", "query.near")


def matching(
    principal: Principal | None, asked: OrganizationQuery, box: Box | None, near: tuple[float, float] | None = None
) -> sa.Select[Organization]:
    """The organizations asked for but for the text `q`; `near` is a longitude and a latitude. Raises `NotForThem`.

    Nobody finds out by a filter what they are not shown: of others' organizations a stranger's filters see the public's point only.
    """
    inside = is_official(principal) or asked.mine
    query = visible_to(principal).where(Organization.merged_into.is_(None))
    if asked.mine:
        query = query.where(of(principal) if principal is not None else sa.false())
    if not inside and any(getattr(asked, name) is not None for name in FOR_OFFICIALS):
        raise NotForThem("filter_for_officials")
    for column in ("organization_type", "registration_status", "legal_status", "mandate_status", "freshness", "area"):
        wanted = getattr(asked, column)
        if wanted is not None:
            query = query.where(getattr(Organization, column) == wanted)
    for codes, code in ((Organization.themes, asked.theme), (Organization.populations, asked.population)):
        if code is not None:
            query = query.where(codes.contains([code]))
    for column in ("locality", "territory", "neighborhood"):
        wanted = getattr(asked, column)
        if wanted is not None:
            query = query.where(sa.func.fold(getattr(Organization, column)) == fold(wanted))
    if box is not None:
        query = query.where(_within(box, inside=inside))
    if near is not None:
        longitude, latitude = near
        high = asked.radius / _METERS_OF_A_DEGREE
        wide = high / max(math.cos(math.radians(latitude)), 0.01)
        around = (longitude - wide, latitude - high, longitude + wide, latitude + high)
        query = query.where(
            _within(around, inside=inside), distance(longitude, latitude, inside=inside) <= asked.radius
        )
    return query


def _within(box: Box, *, inside: bool) -> sa.ColumnElement[bool]:
    west, south, east, north = box
    latitude, longitude = _point(inside=inside)
    return sa.and_(latitude.between(south, north), longitude.between(west, east))


def _point(*, inside: bool) -> tuple[Any, Any]:
    if inside:
        return Organization.latitude, Organization.longitude
    return Organization.public_latitude, Organization.public_longitude


def distance(longitude: float, latitude: float, *, inside: bool) -> sa.ColumnElement[int]:
    """Whole meters from a point: for the public, to what it is shown. Whole, for a page's cursor must come back as it went out."""
    its_latitude, its_longitude = _point(inside=inside)
    half = sa.func.power(sa.func.sin(sa.func.radians(its_latitude - latitude) / 2), 2) + sa.func.cos(
        sa.func.radians(its_latitude)
    ) * math.cos(math.radians(latitude)) * sa.func.power(sa.func.sin(sa.func.radians(its_longitude - longitude) / 2), 2)
    meters = 2 * _EARTH * sa.func.asin(sa.func.sqrt(sa.func.least(1.0, half)))
    return sa.cast(sa.func.round(meters), sa.Integer)


def sees_all(principal: Principal | None, asked: OrganizationQuery) -> bool:
    """Whether all that a list can hold may be seen whole by the caller."""
    return is_official(principal) or asked.mine


def history_of(organization_id: UUID) -> sa.Select[HistoryEntry]:
    """Of an organization, and of those that were found to be it."""
    absorbed = sa.select(Organization.id).where(Organization.merged_into == organization_id)
    mine = HistoryEntry.organization_id == organization_id
    return sa.select(HistoryEntry).where(mine | HistoryEntry.organization_id.in_(absorbed))


def found_by(q: str, *, officials: bool) -> sa.ColumnElement[bool]:
    """Every word is in one of the names, whole, as a beginning or in another number; or `q` is one of its numbers."""
    words = _words(q)
    written = q.strip().upper()
    digits = re.sub("[^0-9]", "", written)
    if words and not digits:  # no number is without a digit
        return _holds(words, beginnings=True)
    numbers = {written, digits} - {""}
    if len(digits) == 10:
        numbers.add(digits[:-1])  # a NIT with its check digit, which is stored apart
    # By a number of one that was merged, where it lives on is found.
    alive = sa.func.coalesce(Organization.merged_into, Organization.id)
    owners = sa.select(alive).join(Identifier).where(Identifier.value.in_(numbers))
    if not officials:
        owners = owners.where(~Identifier.of_a_person)
    # A union, since with OR the planner rather walks the whole list in its order than uses three indexes.
    found: list[sa.Select[Any]] = [owners, sa.select(alive).where(Organization.number == written)]
    if words:
        found.append(sa.select(Organization.id).where(_holds(words, beginnings=True)))
    return Organization.id.in_(sa.union(*found))


def by_relevance(q: str) -> sa.ColumnElement[str]:
    """The order of what `found_by` found: those with all the words whole first, then those with beginnings, by name."""
    words = _words(q)
    if not words:
        return sa.func.concat(Organization.sort_name)
    return sa.case((_holds(words, beginnings=False), "0"), else_="1").concat(Organization.sort_name)


def may_be_mistyped(q: str) -> bool:
    """Whether it has a word long enough to be told from others."""
    return bool(_long(_words(q)))


def mistyped(session: Session, q: str) -> list[str]:
    """The longer words of `q` that no name has as they are written; all of them where each is in some name.

    Tells the session what counts as like, for `resembling`.
    """
    long = _long(_words(q))
    if not long:
        return []
    settings = {"pg_trgm.word_similarity_threshold": str(SIMILAR), "enable_seqscan": "off"}
    session.execute(sa.select(*(sa.func.set_config(name, value, True) for name, value in settings.items())))
    # To find one row the planner would rather read the whole table, in the hope that it comes soon; a word that is in none does not.
    known = [sa.exists().where(_holds([word], beginnings=True)).label(f"known_{n}") for n, word in enumerate(long)]
    found = session.execute(sa.select(*known)).one()
    return [word for word, is_known in zip(long, found, strict=True) if not is_known] or long


def resembling(q: str, wrong: Sequence[str]) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[str]]:
    """Those with a word like each of `wrong`, which are words of `q`, and all its others; the most alike first, then by name."""
    names = Organization.folded_names
    conditions: list[sa.ColumnElement[bool]] = [sa.literal(word).op("<%", is_comparison=True)(names) for word in wrong]
    conditions += [sa.func.word_similarity(w, names) >= _SIMILAR_IF_SHORT for w in wrong if len(w) <= _SHORT]
    right = [word for word in _words(q) if word not in wrong]
    if right:
        conditions.append(_holds(right, beginnings=True))
    alike: Any = sum(sa.func.word_similarity(word, names) for word in wrong) / len(wrong)
    unlike = sa.func.lpad(sa.cast(sa.cast(1000 - 1000 * alike, sa.Integer), sa.Text), 4, "0")
    return sa.and_(*conditions), unlike.concat(Organization.sort_name)


def _long(words: Sequence[str]) -> list[str]:
    return [word for word in words if len(word) >= _SURE and not word.isdecimal()]


def _words(q: str) -> list[str]:
    return re.findall(r"[^\W_]+", fold(q))[:_WORDS]


def _holds(words: Sequence[str], *, beginnings: bool) -> sa.ColumnElement[bool]:
    mark = ":*" if beginnings else ""
    terms = [_tsquery("simple", f"{word}{mark}").op("||")(_tsquery("spanish", word)) for word in words]
    wanted = terms[0]
    for term in terms[1:]:
        wanted = wanted.op("&&")(term)
    return Organization.searchable.bool_op("@@")(wanted)


def _tsquery(configuration: str, text: str) -> sa.ColumnElement[Any]:
    return sa.func.to_tsquery(sa.cast(configuration, REGCONFIG), text)
