"""From a proof to a PDF that archives can keep and screen readers can read (PDF/A-2a, PDF/UA-1)."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst

from tejido_shared.jurisdiction import Entity

_TEMPLATE = Path(__file__).parent / "template"
_LETTER = {"BZ", "CA", "CL", "CO", "CR", "GT", "MX", "NI", "PA", "PH", "PR", "SV", "US", "VE"}  # CLDR, paperSize
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\xad\u200b-\u200f\u2060-\u2069\ufe00-\ufe0f\ufeff]")
_UNSURE = re.compile("[^\n -~\xa1-\xac\xae-\u024f\u2010-\u2027\u2030-\u205e\u20ac\u2212]")
"""What the fonts at hand may not draw."""


@cache
def _fonts() -> typst.Fonts:
    """Only what typst carries with it: the same document on every machine."""
    return typst.Fonts(include_system_fonts=False)


def pdf(*, language: str, country: str, entity: Entity, at: datetime, **parts: Any) -> bytes:
    """The document, dated `at`; `parts` are what template/proof.typ draws. The same words and instant give the same bytes.

    A character that no font at hand draws is printed as its Unicode number, [U+1F600]: a proof drops nothing.
    """
    data = {
        **parts,
        "language": language,
        "paper": "us-letter" if country in _LETTER else "a4",
        "entity": {
            "name": entity.name,
            "lines": [" · ".join([entity.address, entity.phone, entity.email]), entity.website],
        },
    }
    data = _mapped(
        data, lambda text: _INVISIBLE.sub("", _LINE_END.sub("\n", text)).replace("\t", " ").replace("\xa0", " ")
    )
    return typst.compile(
        _TEMPLATE / "proof.typ",
        root=_TEMPLATE,
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(_mapped(data, lambda text: _UNSURE.sub(_number_of, text)))},
        pdf_standards=["a-2a", "ua-1"],
        timestamp=int(at.timestamp()),
    )


def _number_of(match: re.Match[str]) -> str:
    return f"[U+{ord(match[0]):04X}]"


def _mapped(data: Any, change: Callable[[str], str]) -> Any:
    if isinstance(data, str):
        return change(data)
    if isinstance(data, dict):
        return {key: _mapped(value, change) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_mapped(item, change) for item in data]
    return data
