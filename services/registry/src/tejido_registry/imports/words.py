"""What other registers call things: their columns and values, by ours."""

import re
import tomllib
from functools import cache
from importlib.resources import files

from tejido_registry.queries import fold

Words = dict[str, dict[str, list[str]]]


def plain(text: str) -> str:
    """A text without accents, capitals and signs: `Nº de Registro` and `nro_registro` are near each other then."""
    folded = fold(re.sub("[º°]", "ro ", text))
    folded = re.sub(r"\b([a-z])\.\s?(?=[a-z]\b)", r"\1", folded)  # N.I.T. is a word
    return " ".join(re.findall("[a-z0-9]+", folded))


@cache
def words() -> Words:
    """words.toml: kind of thing, ours, and what others call it."""
    return tomllib.loads((files(__package__) / "words.toml").read_text("utf-8"))


@cache
def legal_statuses() -> dict[str, str]:
    """What others write for a legal situation, and our code for it."""
    return {word: ours for ours, theirs in words()["legal_status"].items() for word in (*theirs, plain(ours))}
