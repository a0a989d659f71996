"""Finding that two organizations are one: proposed by one officer, done by a second, undone within a window. None commits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tejido_registry import service
from tejido_registry.duplicates import service as duplicates
from tejido_registry.merges import moves, queries
from tejido_registry.models import Merge, Organization
from tejido_registry.renewal import service as renewal
from tejido_registry.settings import jurisdiction
from tejido_shared.clock import now
from tejido_shared.refusals import NotForThem, Refused

POINT = ("latitude", "longitude", "area_found")
"""Chosen together: half of one point and half of another are a third."""
LISTS = ("other_names", "themes", "populations")
FIELDS = tuple(name for name in service.COLUMNS if name not in POINT)
IN_REGISTER = ("registered", "inactive", "suspended")
MOST_NAMES = 20
Choices = dict[str, str]
_NUMBERS = "identifiers."


def conflicts(survivor: Organization, absorbed: Organization) -> dict[str, tuple[str, str]]:
    """Schemes of which an organization has one number, where the two have different ones: survivor's and absorbed's."""
    mine = {one.scheme: one.value for one in survivor.identifiers if one.exclusive}
    theirs = {one.scheme: one.value for one in absorbed.identifiers if one.exclusive}
    return {scheme: (mine[scheme], theirs[scheme]) for scheme in sorted(mine.keys() & theirs.keys())}


def proposed(survivor: Organization, absorbed: Organization) -> dict[str, str | None]:
    """Whose value stays where nobody chooses: the survivor's, or the other's where it has none; lists are put together."""
    choices: dict[str, str | None] = {
        name: "both" if name in LISTS else _fuller(getattr(survivor, name), getattr(absorbed, name)) for name in FIELDS
    }
    choices["point"] = _fuller(survivor.latitude, absorbed.latitude)
    return choices | dict.fromkeys((_NUMBERS + scheme for scheme in conflicts(survivor, absorbed)), None)


def obstacles(
    session: Session, survivor: Organization, absorbed: Organization, choices: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Why it cannot be done now, by what has to be seen to; none if it can."""
    found = []
    if survivor.id == absorbed.id:
        return [("absorbed_id", "merge_same")]
    found += [
        (side, "merge_is_merged")
        for side, one in (("survivor_id", survivor), ("absorbed_id", absorbed))
        if one.merged_into is not None
    ]
    if absorbed.registration_status == "suspended":
        found.append(("absorbed_id", "merge_suspended"))
    if absorbed.registration_status in IN_REGISTER and survivor.registration_status not in IN_REGISTER:
        found.append(("survivor_id", "merge_survivor_not_registered"))
    if queries.has_open_application(session, absorbed.id):
        found.append(("absorbed_id", "merge_open_application"))
    for scheme in conflicts(survivor, absorbed):
        if choices.get(_NUMBERS + scheme) not in ("survivor", "absorbed"):
            found.append((f"choices.{_NUMBERS}{scheme}", "choice_missing"))
    return found


def propose(
    session: Session,
    survivor: Organization,
    absorbed: Organization,
    choices: Choices,
    reason: str,
    author: str,
) -> Merge:
    """One officer says so. Both must be locked. Raises `Refused` while anything stands in the way."""
    _refuse(session, survivor, absorbed, choices)
    merge = Merge(
        survivor_id=survivor.id,
        absorbed_id=absorbed.id,
        status="proposed",
        choices=choices,
        reason=reason,
        proposed_by=author,
        proposed_at=now(),
    )
    try:
        # Whose key is asked for twice at this very moment is found by its index.
        with session.begin_nested():
            session.add(merge)
            session.flush()
    except IntegrityError:
        raise Refused("merge_open", number=absorbed.number) from None
    return merge


def refuse(session: Session, merge: Merge, author: str, reason: str) -> None:
    """They are not one, or not so. Raises `Refused` if it was done already."""
    if merge.status != "proposed":
        raise Refused("merge_not_proposed")
    merge.status, merge.done_by, merge.done_at = "refused", author, now()
    merge.reason = "\n\n".join(filter(None, (merge.reason, reason)))
    session.flush()


def confirm(session: Session, merge: Merge, survivor: Organization, absorbed: Organization, author: str) -> None:
    """A second officer does it. All three must be locked. Raises `Refused` while anything stands in the way."""
    if merge.status != "proposed":
        raise Refused("merge_not_proposed")
    if author == merge.proposed_by:
        raise NotForThem("merge_other_officer")
    _refuse(session, survivor, absorbed, merge.choices)
    before = {
        "survivor": _values(survivor),
        "absorbed": {name: moves.plain(getattr(absorbed, name)) for name in _OF_ABSORBED},
    }
    chosen = {name: said or "survivor" for name, said in (proposed(survivor, absorbed) | merge.choices).items()}
    other = frozenset(scheme for scheme in conflicts(survivor, absorbed) if chosen[_NUMBERS + scheme] == "absorbed")
    kept = frozenset(conflicts(survivor, absorbed)) - other
    _write(survivor, _merged_values(survivor, absorbed, chosen))
    absorbed.registration_status, absorbed.merged_into, absorbed.axes_due_on = "merged", survivor.id, None
    survivor.changed_at = absorbed.changed_at = now()
    session.flush()
    moved = moves.move(session, absorbed.id, survivor.id, back=other, stay=kept)
    merge.before = json.dumps(before | {"after": _values(survivor), "rows": moved}, ensure_ascii=False)
    merge.moved = _count(moved)
    merge.status, merge.done_by, merge.done_at = "done", author, now()
    window = jurisdiction().registration.policy.merge_undo_days
    merge.undo_until = service.today() + timedelta(days=window)
    service.record(session, survivor, "merged_in", author, number=absorbed.number, name=absorbed.name)
    service.record(session, absorbed, "merged", author, number=survivor.number, name=survivor.name)
    duplicates.merged(session, survivor.id, absorbed.id, author)
    _tell(session, survivor, absorbed, moved)


def undo(
    session: Session, merge: Merge, survivor: Organization, absorbed: Organization, author: str, reason: str
) -> None:
    """As if it had not been done, but for what a person changed since, which `merge.kept` names. All three must be locked.

    Raises `Refused` after the window, and while a later merge stands on it: the survivor lives on in a third, or what this merge
    changed of it a later one changed again.
    """
    if merge.status != "done" or merge.before is None:
        raise Refused("merge_not_done")
    if merge.undo_until is None or service.today() > merge.undo_until:
        raise Refused("merge_undo_over", until=merge.undo_until)
    if survivor.merged_into is not None:
        raise Refused("merge_undo_later_first")
    said, kept = json.loads(merge.before), []
    later = _later(session, merge, said)
    _write_status(absorbed, said["absorbed"])
    present, back = _values(survivor), {}
    for name in _changed(said):
        if name in LISTS and (added := _added(said, name)) is not None:
            back[name] = _without(name, added, present[name], later)
        elif present[name] != said["after"][name]:
            kept.append({"what": name, "why": "changed"})
        else:
            back[name] = said["survivor"][name]
    _write(survivor, {name: _from_plain(name, value) for name, value in back.items()})
    for one in later:
        one.merge.before = json.dumps(one.said, ensure_ascii=False)
    survivor.changed_at = absorbed.changed_at = now()
    session.flush()
    merge.kept = kept + moves.undo(session, said["rows"])
    merge.status, merge.undone_by, merge.undone_at = "undone", author, now()
    service.record(session, survivor, "merge_undone", author, reason=reason, number=absorbed.number)
    service.record(session, absorbed, "merge_undone", author, reason=reason, number=survivor.number)
    duplicates.not_merged(session, survivor.id, absorbed.id)
    _tell(session, survivor, absorbed, said["rows"])


_OF_ABSORBED = ("registration_status", "axes_due_on")


@dataclass
class _Later:
    """A merge into the same survivor that was done after one that is undone now, and what it wrote down."""

    merge: Merge
    said: dict[str, Any]
    absorbed: Organization


def _later(session: Session, merge: Merge, said: dict[str, Any]) -> list[_Later]:
    found = []
    for other in queries.done_since(session, merge):
        theirs = json.loads(other.before or "")
        lists = {name for name in LISTS if _added(said, name) is not None and _added(theirs, name) is not None}
        fields = (_changed(said) & _changed(theirs)) - lists
        if fields or moves.keys(said["rows"]) & moves.keys(theirs["rows"]):
            raise Refused("merge_undo_later_first")
        found.append(_Later(other, theirs, session.get_one(Organization, other.absorbed_id)))
    return found


def _changed(said: dict[str, Any]) -> set[str]:
    """The fields of the survivor that a merge changed."""
    return {name for name, value in said["survivor"].items() if said["after"][name] != value}


def _added(said: dict[str, Any], name: str) -> list[Any] | None:
    """What a merge put into a list; none if it also took something away."""
    before, after = said["survivor"][name], said["after"][name]
    return [one for one in after if one not in before] if all(one in after for one in before) else None


def _without(name: str, added: list[Any], present: list[Any], later: list[_Later]) -> list[Any]:
    """A list without what the merge put in, except what a later one would have put in as well: that is then the later one's."""
    wanted = set()
    for one in later:
        own = set(getattr(one.absorbed, name)) | (
            {one.absorbed.name, one.absorbed.public_name} if name == "other_names" else set()
        )
        one.said["survivor"][name] = [v for v in one.said["survivor"][name] if v not in added or v in wanted]
        wanted |= own.intersection(added)
        one.said["after"][name] = [v for v in one.said["after"][name] if v not in added or v in wanted]
    return [value for value in present if value not in added or value in wanted]


def _refuse(session: Session, survivor: Organization, absorbed: Organization, choices: Choices) -> None:
    missing = moves.unhandled()
    if missing:
        raise Refused("merge_unhandled", references=", ".join(missing))
    known = proposed(survivor, absorbed)
    flaws = [(f"choices.{name}", "unknown_choice") for name in sorted(choices.keys() - known.keys())]
    flaws += [
        (f"choices.{name}", "choice_not_both")
        for name, said in sorted(choices.items())
        if said == "both" and name in known and name not in LISTS
    ]
    flaws += obstacles(session, survivor, absorbed, choices)
    if flaws:
        raise Refused(fields=flaws)


def _merged_values(survivor: Organization, absorbed: Organization, chosen: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in FIELDS:
        mine, theirs = getattr(survivor, name), getattr(absorbed, name)
        said = chosen[name]
        if said == "both":
            values[name] = list(dict.fromkeys([*mine, *theirs]))
        else:
            values[name] = mine if said == "survivor" else theirs
    if chosen["point"] == "absorbed":
        values |= {name: getattr(absorbed, name) for name in POINT}
    if chosen["other_names"] == "both":
        # By each of the names it ever had it is found again.
        called = (survivor.name, survivor.public_name, absorbed.name, absorbed.public_name)
        names = [*values["other_names"], *(name for name in called if name)]
        shown = {values["name"], values["public_name"]}
        values["other_names"] = [name for name in dict.fromkeys(names) if name not in shown][:MOST_NAMES]
    return values


def _fuller(mine: Any, theirs: Any) -> str:
    return "absorbed" if mine is None and theirs is not None else "survivor"


def _values(organization: Organization) -> dict[str, Any]:
    return {name: moves.plain(getattr(organization, name)) for name in service.COLUMNS}


def _write(organization: Organization, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if getattr(organization, name) != value:
            setattr(organization, name, value)


def _write_status(absorbed: Organization, before: Mapping[str, Any]) -> None:
    absorbed.merged_into = None
    for name, value in before.items():
        setattr(absorbed, name, _from_plain(name, value))


def _from_plain(name: str, value: Any) -> Any:
    """What `moves.plain` wrote of a column of an organization."""
    kind = sa.inspect(Organization).columns[name].type
    if value is not None and isinstance(kind, sa.Date):
        return kind.python_type.fromisoformat(value)
    return value


def _count(moved: list[moves.Row]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in moved:
        counts[one["table"]] = counts.get(one["table"], 0) + 1
    return counts


def _tell(session: Session, survivor: Organization, absorbed: Organization, moved: list[moves.Row]) -> None:
    """Axes anew, and everybody who listens is told of all that changed."""
    session.flush()
    followers = moves.followers(moved)
    # Rows went from one to the other behind the session's back.
    for one in (survivor, absorbed):
        session.expire(one, ["identifiers", "contacts", "branches"])
    renewal.refresh(session, survivor)
    if absorbed.merged_into is None:
        renewal.refresh(session, absorbed)
    session.flush()
    behind = queries.organizations(session, followers, lock=True)
    service.announce(session, [survivor, absorbed, *behind.values()])


def sides(session: Session, merge: Merge, *, lock: bool = False) -> tuple[Organization, Organization]:
    found = queries.organizations(session, {merge.survivor_id, merge.absorbed_id}, lock=lock)
    return found[merge.survivor_id], found[merge.absorbed_id]


def both(
    session: Session, survivor_id: UUID, absorbed_id: UUID, *, lock: bool = False
) -> tuple[Organization, Organization]:
    """Raises `Refused` for one that is not there."""
    found = queries.organizations(session, {survivor_id, absorbed_id}, lock=lock)
    missing = [
        (name, "unknown_organization")
        for name, key in (("survivor_id", survivor_id), ("absorbed_id", absorbed_id))
        if key not in found
    ]
    if missing:
        raise Refused(fields=missing)
    return found[survivor_id], found[absorbed_id]
