"""Where a text comes from: an administrator saved one, or the municipality's pack has one, or it is ours."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import structlog
from sqlalchemy.orm import Session

from tejido_notifications.letters import queries
from tejido_notifications.settings import jurisdiction

log = structlog.get_logger()
Form = Literal["mail", "short"]
FORMS: tuple[Form, ...] = ("mail", "short")
Saved = Mapping[tuple[str, str, str], tuple[int, str | None]]
FRESH = 3.0
"""Seconds after which a process asks again what administrators have saved."""
_known: tuple[float, Saved] = (0.0, {})


@dataclass(frozen=True)
class Source:
    """A text as it was written. `version` says which: `saved:<number>`, or `pack:` or `ours:` and the beginning of its SHA-256."""

    text: str
    origin: Literal["saved", "pack", "ours"]
    version: str


def kept() -> Saved | None:
    """What administrators saved, but for what is younger than `FRESH` seconds; none if it has to be asked for."""
    read_at, known = _known
    return known if read_at and time.monotonic() - read_at <= FRESH else None


def saved(session: Session) -> Saved:
    """`kept`, asked for if need be."""
    global _known
    known = kept()
    if known is None:
        known = queries.newest(session)
        _known = (time.monotonic(), known)
    return known


def chosen(known: Saved, name: str, form: Form, language: str) -> Source | None:
    """The text that counts; none if there is none."""
    number, text = known.get((name, form, language), (0, None))
    return Source(text, "saved", f"saved:{number}") if text is not None else unsaved(name, form, language)


def unsaved(name: str, form: Form, language: str) -> Source | None:
    """The pack's text, else ours."""
    file = f"{name}.{language}.txt" if form == "mail" else f"{name}.{form}.{language}.txt"
    own = jurisdiction().messages.get(file)
    if own is not None:
        return Source(own, "pack", f"pack:{_digest(own)}")
    text = _ours().get(file)
    return Source(text, "ours", f"ours:{_digest(text)}") if text is not None else None


def names() -> list[str]:
    """Of all messages that have a text."""
    return sorted({file.partition(".")[0] for file in _ours()})


def forget() -> None:
    """What was saved is asked for anew."""
    global _known
    _known = (0.0, {})


@cache
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@cache
def _ours() -> dict[str, str]:
    """File name to text. Warns of texts in the pack that no message has."""
    texts = {
        path.name: path.read_text("utf-8")
        for path in (files("tejido_notifications") / "templates").iterdir()
        if path.name.endswith(".txt")
    }
    for name in jurisdiction().messages:
        if name.partition(".")[0] not in {file.partition(".")[0] for file in texts}:
            log.warning("pack_message_unused", name=name)
    return texts
