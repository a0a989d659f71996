"""Texts for people. Spanish first; the caller's language is chosen once per request and travels with it."""

import re
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from io import BytesIO

from babel.core import negotiate_locale
from babel.messages.pofile import read_po

LANGUAGES = ("es", "en")
language: ContextVar[str] = ContextVar("language", default="es")


@cache
def _catalogue(package: str, lang: str) -> dict[str, str]:
    path = files(package) / "locale" / lang / "LC_MESSAGES" / "messages.po"
    if not path.is_file():
        return {}
    return {str(m.id): str(m.string) for m in read_po(BytesIO(path.read_bytes())) if m.id and m.string}


def text(package: str, code: str, lang: str | None = None, **params: object) -> str:
    """The text with this code from the package's catalogue, in `lang` or the caller's language, else Spanish.

    A code that no catalogue holds comes back as it is: a missing text is seen, it breaks nothing.
    """
    for candidate in (lang or language.get(), "es"):
        found = _catalogue(package, candidate).get(code)
        if found is not None:
            return found.format_map(params) if params else found
    return code


def knows(package: str, code: str) -> bool:
    """Whether the package's Spanish catalogue holds this code."""
    return code in _catalogue(package, "es")


def negotiate(accept_language: str) -> str:
    """The language to answer in, from an `Accept-Language` header (RFC 9110, section 12.5.4)."""
    weighted = []
    for part in accept_language[:500].split(","):
        tag, *weight = re.split(r"\s*;\s*q\s*=\s*", part.strip())
        try:
            quality = float(weight[0]) if weight else 1.0
        except ValueError:
            continue
        if quality > 0:
            weighted.append((-quality, tag.split("-")[0].lower()))
    return negotiate_locale([tag for _, tag in sorted(weighted, key=lambda w: w[0])], LANGUAGES) or "es"
