"""How likely two organizations are one, with what speaks for and against it. Pure.

Each signal adds to, or takes from, the logarithm of the odds, so that they can be read one by one: a number of their own decides;
then the name with the place; then telephone and address; then who is in both boards; then how far apart they are.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tejido_registry.duplicates.names import Name, alike, similarity

THRESHOLD = 0.5
"""From this score on a person is asked."""
_BEFORE = -3.0
"""Two organizations that have something in common are still mostly two."""
_NAME = ((0.0, -6.0), (0.5, -4.5), (0.65, -2.0), (0.75, 0.0), (0.85, 2.5), (0.95, 4.0), (1.0, 4.5))
"""Similarity of the names, and what it adds."""
_ALIKE = 0.75
_METERS = ((150, 1.0), (500, 0.5), (2_000, 0.0), (10_000, -1.5), (math.inf, -3.0))
"""Up to so many meters apart, and what that adds."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is compared of an organization. `phones` and `emails` are fingerprints, `board` keys of persons."""

    names: tuple[Name, ...]
    locality: tuple[str, ...] = ()
    territory: tuple[str, ...] = ()
    area: str | None = None
    address: tuple[str, ...] = ()
    point: tuple[float, float] | None = None
    identifiers: frozenset[tuple[str, str, bool]] = frozenset()
    """Scheme, value, and whether no two may have the same."""
    phones: frozenset[str] = frozenset()
    emails: frozenset[str] = frozenset()
    board: frozenset[str] = frozenset()


@dataclass
class Judgement:
    """`score` is from 0 to 1; `signals` say by code what each added, and what a text about it needs."""

    score: float = 0.0
    signals: dict[str, dict[str, Any]] = field(default_factory=dict)

    def say(self, code: str, weight: float, **params: Any) -> None:
        if weight:
            self.signals[code] = {"weight": round(weight, 2), **params}


def judge(one: Profile, other: Profile) -> Judgement:
    """The same whichever of the two comes first."""
    judgement = Judgement()
    _numbers(judgement, one, other)
    _name(judgement, one, other)
    _place(judgement, one, other)
    for code, mine, others in (("phone", one.phones, other.phones), ("email", one.emails, other.emails)):
        if mine & others:
            judgement.say(code, 2.0)
    if shared := len(one.board & other.board):
        judgement.say("board", 1.5 if shared * 2 >= min(len(one.board), len(other.board)) else 1.0, persons=shared)
    if one.point and other.point:
        meters = distance(one.point, other.point)
        judgement.say("distance", next(weight for most, weight in _METERS if meters <= most), meters=round(meters))
    total = _BEFORE + sum(signal["weight"] for signal in judgement.signals.values())
    judgement.score = round(1 / (1 + math.exp(-max(-30.0, min(30.0, total)))), 4)
    return judgement


def _numbers(judgement: Judgement, one: Profile, other: Profile) -> None:
    same = one.identifiers & other.identifiers
    if same:
        own = any(exclusive for _, _, exclusive in same)
        scheme, value, _ = min(same, key=lambda found: (not found[2], found[0], found[1]))
        judgement.say("identifier", 8.0 if own else 2.5, scheme=scheme, value=value)
        return
    mine = {scheme for scheme, _, exclusive in one.identifiers if exclusive}
    others = {scheme for scheme, _, exclusive in other.identifiers if exclusive}
    if mine & others:
        judgement.say("identifiers_differ", -4.0, scheme=min(mine & others))


def _name(judgement: Judgement, one: Profile, other: Profile) -> None:
    share, mine, others = similarity(one.names[0], other.names[0]), one.names[0], other.names[0]
    if share < _ALIKE:
        # The one may be known by another name; but what they are both called tells best whether they are neighbours.
        share, mine, others = max(
            ((similarity(mine, others), mine, others) for mine in one.names for others in other.names),
            key=lambda found: (found[0] - 0.5 * (found[1].marks != found[2].marks), found[1].words, found[2].words),
        )
    judgement.say("name", _between(_NAME, share), percent=round(share * 100))
    if mine.marks != others.marks:
        told_apart = mine.marks and others.marks and not (mine.marks < others.marks or others.marks < mine.marks)
        marks = ", ".join(sorted(mine.marks ^ others.marks))
        judgement.say("marks_differ", -8.0 if told_apart else -7.0, marks=marks)
    if mine.kinds and others.kinds and not mine.kinds & others.kinds:
        judgement.say("kinds_differ", -3.0)


def _place(judgement: Judgement, one: Profile, other: Profile) -> None:
    towns = _same_words(one.locality, other.locality)
    if towns is not None:
        judgement.say("locality" if towns else "localities_differ", 1.5 if towns else -4.0)
    if towns is not False:
        if one.area and other.area:
            parts: bool | None = one.area == other.area
        else:
            parts = _same_words(one.territory, other.territory)
        if parts is not None:
            judgement.say("territory" if parts else "territories_differ", 1.0 if parts else -2.5)
    if one.address and other.address:
        share = _shared_words(one.address, other.address)
        if share >= 0.6:
            judgement.say("address", 1.5 if share >= 0.8 else 0.8)
        else:
            judgement.say("addresses_differ", -1.5)


def _same_words(mine: tuple[str, ...], others: tuple[str, ...]) -> bool | None:
    """Whether two places are the same, the one perhaps written shorter; none if one is not known."""
    if not mine or not others:
        return None
    shorter, longer = sorted((mine, others), key=len)
    return all(any(alike(word, there) for there in longer) for word in shorter)


def _shared_words(mine: tuple[str, ...], others: tuple[str, ...]) -> float:
    """How much of the shorter address is in the longer one; nothing if both have numbers, and none in common."""
    numbers, theirs = {w for w in mine if w.isdigit()}, {w for w in others if w.isdigit()}
    if numbers and theirs and not numbers & theirs:
        return 0.0
    shorter, longer = sorted((mine, others), key=len)
    return sum(any(alike(word, there) for there in longer) for word in shorter) / len(shorter)


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Meters between two points in degrees, latitude first."""
    north, east = math.radians(other[0] - one[0]), math.radians(other[1] - one[1])
    chord = math.sin(north / 2) ** 2 + math.cos(math.radians(one[0])) * math.cos(math.radians(other[0])) * (
        math.sin(east / 2) ** 2
    )
    return 2 * 6_371_000 * math.asin(math.sqrt(min(1.0, chord)))


def _between(steps: tuple[tuple[float, float], ...], value: float) -> float:
    for (low, at_low), (high, at_high) in pairwise(steps):
        if value <= high:
            return at_low + (at_high - at_low) * (value - low) / (high - low)
    return steps[-1][1]
