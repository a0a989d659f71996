"""To which office a new request goes: rules a person writes, compiled for the words of long texts."""

import unicodedata
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from tejido_shared.jurisdiction.values import Code, Frozen, Text

# Latin 1 has the letters of Spanish, Portuguese and their neighbours, and one byte for each. A letter becomes its small
# form without accent (ñ: n); all that is neither letter nor figure becomes a space.
_PLAIN = bytes(
    ord(plain) if (plain := unicodedata.normalize("NFD", chr(byte).lower())[0]).isalnum() else ord(" ")
    for byte in range(256)
)


def _words(text: str) -> list[bytes]:
    return unicodedata.normalize("NFC", text).encode("latin-1", "replace").translate(_PLAIN).split()


def _latin(value: str) -> str:
    composed = unicodedata.normalize("NFC", value)
    if not _words(composed) or any(ord(character) > 255 for character in composed):
        raise PydanticCustomError("word", "not a word")
    return value


class RoutingRule(Frozen):
    """`office` gets the requests that fulfil each condition given: one of `types`, of `words`, of `areas`.

    A word, or several in a row, is looked for whole in the text; case and accents do not matter.
    """

    types: tuple[Code, ...] = ()
    words: tuple[Annotated[Text, AfterValidator(_latin)], ...] = ()
    areas: tuple[Code, ...] = ()
    office: Code

    @model_validator(mode="after")
    def _check(self) -> "RoutingRule":
        if not (self.types or self.words or self.areas):
            raise PydanticCustomError("routing_condition", "no condition")
        return self


class Router:
    """The rules, ready for use: the text is taken apart at most once, and only if a rule depends on it."""

    def __init__(self, rules: Iterable[RoutingRule]) -> None:
        self._rules = [
            (
                frozenset(rule.types),
                frozenset(rule.areas),
                frozenset(b" ".join(_words(word)) for word in rule.words),
                rule.office,
            )
            for rule in rules
        ]
        sought = frozenset[bytes]().union(*(words for _, _, words, _ in self._rules))
        self._several = {words: frozenset(words.split()) for words in sought if b" " in words}
        self._vocabulary = sought.union(*self._several.values())

    def office(self, type_code: str, text: str, area: str | None) -> str | None:
        """The code of the office of the first rule that holds; None if none does."""
        found: frozenset[bytes] | None = None
        for types, areas, words, office in self._rules:
            if (types and type_code not in types) or (areas and area not in areas):
                continue
            if words:
                if found is None:
                    found = self._found(text)
                if words.isdisjoint(found):
                    continue
            return office
        return None

    def _found(self, text: str) -> frozenset[bytes]:
        words = _words(text)
        found = self._vocabulary.intersection(words)
        several = [row for row, its_words in self._several.items() if its_words <= found]
        if several:
            line = b" %b " % b" ".join(words)
            found |= {row for row in several if b" %b " % row in line}
        return found
