"""What is compared of an organization, from its rows, and the keys under which those it is compared with are found. Pure but for the hash.

Two that share no key are never compared, so each thing that may be the same has keys of its own, several where one may be mistyped.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from tejido_registry.duplicates.names import Name, name_of, plain_words, skeleton
from tejido_registry.duplicates.scoring import Profile
from tejido_shared.personal import fingerprints

_CELL = 0.004
"""Degrees; in each of two grids, one half a cell off the other, so that neighbours share a cell of at least one."""
_MOST_WORDS = 6
_SHORT_NAME = 4
"""Letters from which on a public name is compared; an acronym shorter than that is many organizations'."""


@dataclass
class Facts:
    """An organization's rows that matter. `identifiers` are scheme, value and whether no two may have the same."""

    organization: Any
    identifiers: list[tuple[str, str, bool]] = field(default_factory=list)
    board: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


def profile_of(facts: Facts) -> Profile:
    one = facts.organization
    return Profile(
        names=tuple(dict.fromkeys(_names(one))),
        locality=tuple(plain_words(one.locality or "")),
        territory=tuple(plain_words(one.territory or "")),
        area=one.area,
        address=tuple(plain_words(one.address or "")),
        point=(one.latitude, one.longitude) if one.latitude is not None else None,
        identifiers=frozenset(facts.identifiers),
        phones=frozenset(key for key in facts.keys if key.startswith("p:")),
        emails=frozenset(key for key in facts.keys if key.startswith("e:")),
        board=frozenset(facts.board),
    )


def keys_of(one: Any, identifiers: Sequence[tuple[str, str, bool]]) -> set[str]:
    """The keys to store that hold nothing personal: of names with places, of points, of numbers in other registers."""
    places = {"-".join(map(skeleton, plain_words(text))) for text in (one.locality, one.territory, one.area) if text}
    keys = {f"i:{value}" for _, value, _ in identifiers}
    if one.latitude is not None:
        keys.update(_cells(one.latitude, one.longitude))
    for name in _names(one):
        keys.update(_name_keys(name, places))
    return keys


def personal_keys(contacts: Sequence[tuple[str | None, str | None]]) -> tuple[set[str], set[str]]:
    """The keys of contacts' e-mail addresses and telephones: those to store, and those to look for, which are more after a rotation."""
    stored, wanted = set(), set()
    for email, phone in contacts:
        for kind, text in (("e", email and email.casefold()), ("p", phone)):
            if text:
                marks = [f"{kind}:{mark.hex()}" for mark in fingerprints(text)]
                stored.add(marks[0])
                wanted.update(marks)
    return stored, wanted


def _names(one: Any) -> Iterator[Name]:
    yield name_of(one.name)
    for text in (one.public_name or "", *one.other_names):
        name = name_of(text)
        if len(text) >= _SHORT_NAME and (len(name.proper) > 1 or len("".join(name.words)) > _SHORT_NAME + 1):
            yield name


def _name_keys(name: Name, places: set[str]) -> Iterator[str]:
    words = list(dict.fromkeys(name.proper or name.words))[:_MOST_WORDS]
    sounds = sorted({sound for word in words if (sound := skeleton(word))})
    for one, other in combinations(sounds, 2):
        yield f"n:{one}+{other}"
    for place in places:
        for sound in sounds:
            yield f"n:{sound}@{place}"
    # A name of one word has no second to be found by when that one is mistyped.
    if len([word for word in words if len(word) > 1]) == 1:
        word = max(words, key=len)
        halves = (f"{word[:4]}>", f"<{word[-4:]}") if len(word) > _SHORT_NAME else ()
        for half in halves:
            yield from (f"n:{half}@{place}" for place in places)
        yield f"n:{skeleton(word)}"
    run = "".join(words)
    yield f"n:{skeleton(run)}="


def _cells(latitude: float, longitude: float) -> Iterator[str]:
    for grid, shift in (("a", 0.0), ("b", 0.5)):
        yield f"g:{grid}{math.floor(latitude / _CELL + shift)},{math.floor(longitude / _CELL + shift)}"
