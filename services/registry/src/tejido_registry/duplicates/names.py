"""What a name says once spelling, abbreviations and the legal form are set aside. Pure.

"Asoc. Amig. Bib. Pop. D. F. Sarmiento" and "ASOCIACION AMIGOS BIBLIOTECA POPULAR DOMINGO F. SARMIENTO" are alike; "San Martín I" and
"San Martín II", or a barrio and its second sector, are not, however alike they look.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from rapidfuzz.distance import OSA

from tejido_registry.queries import fold

_NUMBER_SIGN = re.compile(r"\b(?:n|no|nro|num|numero)\s*[.º°]*\s*(?=\d)")
_ORDINAL = re.compile(r"\b(\d+)(?:er|ra|ro|da|do|ta|to|va|vo|ma|mo|na|no|a|o|ª|º|°)(?![a-z])")
_BARRIO = re.compile(r"\bb[º°]\s*")
_ROMAN = re.compile(r"(?=[ivx])(x{0,3})(ix|iv|v?i{0,3})")
_FORM, _GENERIC, _INITIAL = 0.05, 0.3, 0.6
"""Of what a word of its own weighs: a legal form, a word that many have, and an initial."""


@dataclass(frozen=True, slots=True)
class Name:
    """`words` in their order, without what joins them; `proper` are those of its own; `marks` tell it from its neighbours; `kinds` say
    what sort of organization it is."""

    words: tuple[str, ...]
    proper: tuple[str, ...]
    marks: frozenset[str]
    kinds: frozenset[str]


@lru_cache(maxsize=65536)
def name_of(text: str) -> Name:
    words: list[str] = []
    marks: set[str] = set()
    given = list(_expanded(text))
    for position, word in enumerate(given):
        before = given[position - 1] if position else ""
        after = given[position + 1] if position + 1 < len(given) else ""
        number = _number(word, before, after)
        if number is not None:
            marks.add(str(number))
        elif len(word) == 1 and before in _labels():
            marks.add(word)
        elif word in _directions():
            marks.add(_directions()[word])
            words.append(word)
        elif word not in _stop():
            words.append(word)
    return Name(
        tuple(words),
        tuple(word for word in words if word not in _generic() and word not in _forms()),
        frozenset(marks),
        frozenset(_kinds()[word] for word in words if word in _kinds()),
    )


def plain_words(text: str) -> list[str]:
    """The words of an address or a place, abbreviations spelt out; numbers among them."""
    return [word for word in _expanded(text) if word not in _stop()]


def similarity(one: Name, other: Name) -> float:
    """How far their words are the same, from 0 to 1, in whatever order, with a typing error each, or as initials."""
    mine, others = one.words, other.words
    if not mine or not others:
        return 0.0
    total = sum(map(_weight, mine)) + sum(map(_weight, others))
    alike, mine_left, others_left = _matched(mine, others)
    share = alike / total
    if mine_left and others_left:
        # Each has a word of its own that the other has not: that tells two apart more than one that was left out.
        share *= 0.85
    run_mine, run_others = "".join(one.proper), "".join(other.proper)
    apart = len(one.proper) != len(other.proper)
    if apart and len(run_mine) > 6 and OSA.distance(run_mine, run_others, score_cutoff=1) <= 1:
        share = max(share, 0.95)  # words run together, or apart
    return share


def alike(one: str, other: str) -> bool:
    """Whether two words are the same but for a typing error: one in a word of four letters or more, two in a long one."""
    if one == other:
        return True
    shorter = min(len(one), len(other))
    if shorter < 4 or one.isdigit() or other.isdigit():
        return False
    most = 1 if shorter < 9 else 2
    return bool(OSA.distance(one, other, score_cutoff=most) <= most)


def skeleton(word: str) -> str:
    """A word as it sounds, its first letter and then consonants: most errors of spelling leave it as it is."""
    sounds = re.sub("h|(?<=[gq])u(?=[ei])", "", word).replace("ll", "y").replace("v", "b").replace("z", "s")
    sounds = re.sub("c(?=[ei])", "s", sounds).replace("qu", "k").replace("c", "k").replace("q", "k")
    sounds = re.sub("g(?=[ei])", "j", sounds).replace("x", "s").replace("w", "b").replace("m", "n")
    sounds = re.sub(r"(.)\1+", r"\1", sounds)
    return sounds[:1] + re.sub("[aeiou]", "", sounds[1:])


def _matched(mine: tuple[str, ...], others: tuple[str, ...]) -> tuple[float, bool, bool]:
    """The weight of what has its like on the other side, and whether anything is left on either."""
    left = list(others)
    alike_weight = 0.0
    unmatched = []
    for word in mine:
        if word in left:
            left.remove(word)
            alike_weight += 2 * _weight(word)
        else:
            unmatched.append(word)
    still = []
    for word in unmatched:
        near = next((there for there in left if alike(word, there)), None)
        if near is not None:
            left.remove(near)
            alike_weight += 0.95 * (_weight(word) + _weight(near))
        else:
            still.append(word)
    remaining = []
    for word in still:
        initial = next((t for t in left if t[0] == word[0] and 1 in (len(t), len(word)) and t != word), None)
        if initial is not None:
            left.remove(initial)
            alike_weight += _weight(word) + _weight(initial)
        else:
            remaining.append(word)
    heavy = [w for w in remaining if _weight(w) >= _GENERIC], [w for w in left if _weight(w) >= _GENERIC]
    return alike_weight, bool(heavy[0]), bool(heavy[1])


def _weight(word: str) -> float:
    if len(word) == 1:
        return _INITIAL
    return _FORM if word in _forms() else _GENERIC if word in _generic() else 1.0


def _expanded(text: str) -> Iterator[str]:
    plain = _BARRIO.sub("barrio ", fold(text))
    plain = _ORDINAL.sub(r"\1 ", _NUMBER_SIGN.sub("", plain))
    for word in re.findall(r"[a-z]+|\d+", plain):
        spelt = _words()["abbreviations"].get(word)
        if spelt is None:
            yield word.lstrip("0") or "0" if word.isdigit() else word
        else:
            yield from spelt.split()


def _number(word: str, before: str, after: str) -> int | None:
    if word.isdigit():
        return int(word[:9])
    if word in _numbers():
        return _numbers()[word]
    found = _ROMAN.fullmatch(word)
    if not found or (len(word) == 1 and after and before not in _labels() and after not in _labels()):
        return None  # an initial, or the conjunction, in the middle of a name
    if len(word) == 1 and not before:
        return None
    tens, ones = len(found[1]), found[2]
    small = {"ix": 9, "iv": 4}.get(ones)
    return tens * 10 + (small if small is not None else 5 * ones.startswith("v") + ones.count("i"))


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "words.toml").read_text("utf-8"))


@cache
def _stop() -> frozenset[str]:
    return frozenset(_words()["stop"]["words"])


@cache
def _generic() -> frozenset[str]:
    return frozenset(_words()["generic"]["words"])


@cache
def _forms() -> frozenset[str]:
    return frozenset(_words()["forms"]["words"])


@cache
def _labels() -> frozenset[str]:
    return frozenset(_words()["labels"]["words"])


@cache
def _kinds() -> dict[str, str]:
    return {word: kind for kind, words in _words()["kinds"].items() for word in words}


@cache
def _directions() -> dict[str, str]:
    return {word: direction for direction, words in _words()["directions"].items() for word in words}


@cache
def _numbers() -> dict[str, int]:
    return {word: int(number) for number, words in _words()["numbers"].items() for word in words}
