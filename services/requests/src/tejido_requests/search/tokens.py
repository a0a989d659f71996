"""Words as keyed hashes: requests are found by their words while the words themselves lie encrypted.

A word is stemmed for Spanish, folded (no accents, no case), and hashed with a key made of the data key. Whoever sees the table without
the key sees neither words nor names. Made with the data key that encrypts, looked for with every one that is configured: what was written
before a key was changed is found as long as the old one is kept.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from hashlib import blake2b

import snowballstemmer

from tejido_requests.settings import settings

_WORD = re.compile(r"\w+")
_THOUSANDS = re.compile(r"(?<=\d)\.(?=\d{3}\b)")
_LONGEST = 2000
"""Different words of one request that are remembered."""
_EMPTY_WORDS = """
los las del una uno unos unas por para con sin que como mas pero sus este esta esto ese esa eso esos esas
estos estas les nos son fue ser han hay muy entre sobre desde hasta cuando donde the and for
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())
"""Folded words that say nothing: not remembered, and left out of what is asked."""


def fold(text: str) -> str:
    """Without accents and case; ñ becomes n, as people without the key type it."""
    return "".join(c for c in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(c))


@cache
def _keys() -> list[bytes]:
    """Of every data key one to hash with, the encrypting one first."""
    keys = [key.strip() for key in settings().common.data_key.get_secret_value().split(",") if key.strip()]
    return [blake2b(key.encode(), person=b"tejido-search").digest() for key in keys]


@cache
def _stemmer() -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer("spanish")


@lru_cache(maxsize=50_000)
def _token(form: str, place: int = 0) -> str:
    """Of a form that begins with its kind: t a word's stem, n a name, i an identification."""
    return form[0] + blake2b(form[1:].encode(), key=_keys()[place], digest_size=8).hexdigest()


@lru_cache(maxsize=50_000)
def _stems(word: str) -> frozenset[str]:
    """Of the word as written and of the word without accents: the stemmer knows «pidió», people type «pidio»."""
    folded = fold(word)
    if folded in _EMPTY or (len(folded) < 3 and folded.isalpha()):
        return frozenset()
    return frozenset(f"t{_one_plural(fold(_stemmer().stemWord(form)))}" for form in (word, folded))


def _one_plural(stem: str) -> str:
    """What the stemmer leaves apart of short words: «vías» becomes «via», and «luz» «luc», as «luces» is."""
    return re.sub(r"(?<=[aeiou])s$", "", re.sub(r"z$", "c", stem))


def _words(text: str) -> list[str]:
    """A number is one word, with or without points between its thousands."""
    return _WORD.findall(_THOUSANDS.sub("", unicodedata.normalize("NFC", text.lower())))


def _of_texts(texts: Iterable[str | None]) -> set[str]:
    """Stems, so that «baches» finds «bache»."""
    words = {word for text in texts if text for word in _words(text)}
    return {form for word in sorted(words)[:_LONGEST] for form in _stems(word)}


def _of_names(names: Iterable[str | None]) -> set[str]:
    """Whole words."""
    return {f"n{word}" for name in names if name for word in _WORD.findall(fold(name)) if len(word) > 1}


def _of_identifications(identifications: Iterable[str | None]) -> set[str]:
    """Their digits, however they are written."""
    found = (re.sub(r"\D", "", text) for text in identifications if text)
    return {f"i{digits}" for digits in found if len(digits) >= 5}


def tokens_of(
    texts: Iterable[str | None], names: Iterable[str | None] = (), identifications: Iterable[str | None] = ()
) -> list[str]:
    """What is kept of a request."""
    return sorted(map(_token, _of_texts(texts) | _of_names(names) | _of_identifications(identifications)))


def asked_for(text: str, *, persons: bool) -> list[list[str]]:
    """For each word that says something the tokens of which a request must have one; with `persons` also as part of a name or as an
    identification."""
    found = []
    for word in _words(text):
        if forms := set(_stems(word)):
            if persons:
                forms |= _of_names([word]) | _of_identifications([word])
            found.append([_token(form, place) for form in sorted(forms) for place in range(len(_keys()))])
    return found
