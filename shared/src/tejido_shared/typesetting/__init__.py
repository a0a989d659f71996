"""From words to a PDF that archives can keep and screen readers can read (PDF/A-2a, PDF/UA-1). The only place that knows of typst.

A service that prints needs `typst` among its own dependencies.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import typst
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_decimal, format_percent

from tejido_shared import i18n
from tejido_shared.jurisdiction.models import Entity

PACKAGE = "tejido_shared"
Language = Literal["es", "en"]
Block = dict[str, Any]
"""One piece of a document, as document.typ draws it: `kind` and the words that kind needs."""

_TEMPLATE = Path(__file__).parent
_LETTER = {"BZ", "CA", "CL", "CO", "CR", "GT", "MX", "NI", "PA", "PH", "PR", "SV", "US", "VE"}  # CLDR, paperSize
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_INVISIBLE = re.compile("[\xad\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_STRANGE = re.compile(
    "(?:[^\n -~\xa1-\u052f\u05d0-\u05ea\u060c\u061b\u061f\u0621-\u063a\u0641-\u064a\u0660-\u0669\u1e00-\u2029\u202f-\u2065\u2070-\u2bff"
    "\U0001d400-\U0001d7ff]|[\u2066-\u2069]|(?<=[\u05d0-\u06ff])[\u0300-\u036f\u0483-\u0489\u20d0-\u20f0]+"
    "|(?<=[\u0300-\u036f]{4})[\u0300-\u036f]+)+"
)
"""What typst is not given to draw: scripts and pictures that its fonts lack, marks that show text in another order than it was written,
marks on right-to-left letters, at which it panics (typst/typst#8667), and
more than four marks on a letter, over which it takes its time."""
_UNSURE = re.compile("[^\n -~\xa1-\xac\xae-\xff]+")
"""What not every font draws."""
_REFUSED = re.compile(r'^error: .*?"(.*)"', re.MULTILINE)
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")


@dataclass(frozen=True)
class Words:
    """How one document speaks: its language, and the country whose laws it may cite.

    A kind of document derives its own, which says where its texts are: `<prefix>.<code>` in the catalogue of `package`.
    """

    package: ClassVar[str]
    prefix: ClassVar[str] = "document"

    language: Language
    country: str

    def say(self, code: str, **params: object) -> str:
        return i18n.text(self.package, f"{self.prefix}.{code}", self.language, **params)

    def law(self, code: str, **params: object) -> str:
        """The text that cites this country's law where the catalogue has one, else the text that cites none."""
        own = f"{code}.{self.country}"
        return self.say(own if i18n.knows(self.package, f"{self.prefix}.{own}") else code, **params)

    @property
    def locale(self) -> Locale:
        return _locale(self.language, self.country)

    def day(self, day: date) -> str:
        return format_date(day, "full", self.locale)

    def short_day(self, day: date) -> str:
        return format_date(day, "EEE d MMM y", self.locale)

    def plain_day(self, day: date) -> str:
        return format_date(day, "long", self.locale)

    def hour(self, instant: datetime, zone: ZoneInfo) -> str:
        """The local hour with its offset, so that it means one instant only."""
        local = instant.astimezone(zone)
        offset = format_time(local, "xxx", tzinfo=zone, locale=self.locale)
        return self._ours("hour", hour=local.strftime("%H:%M"), offset=offset.replace("-", "−"))

    def _ours(self, code: str, **params: object) -> str:
        return i18n.text(PACKAGE, f"document.{code}", self.language, **params)

    def number(self, value: float) -> str:
        """A count as it is; anything else to one decimal."""
        return format_decimal(value, "#,##0" if isinstance(value, int) else "#,##0.0", self.locale)

    def plain_number(self, value: float) -> str:
        """As it was said, with the decimals it has."""
        return format_decimal(value, "#,##0.######", self.locale)

    def percent(self, share: float) -> str:
        return format_percent(share, "#,##0.0 %" if self.language == "es" else "#,##0.0%", self.locale)


@cache
def _locale(language: str, country: str) -> Locale:
    try:
        return Locale(language, country)
    except UnknownLocaleError:
        return Locale(language)


@cache
def _fonts() -> typst.Fonts:
    """Only what typst carries with it: the same document on every machine."""
    return typst.Fonts(include_system_fonts=False)


def pdf(
    words: Words, entity: Entity, title: str, subtitle: str, footer: str, blocks: list[Block], at: datetime
) -> bytes:
    """The document, dated `at`. The same words and instant give the same bytes.

    A character that no font at hand draws (an emoji, Chinese) is printed as its Unicode number, [U+1F600], three of them as
    [U+1F600 ×3], and a line says so: an official record drops nothing.
    """
    data: dict[str, Any] = {
        "language": words.language,
        "paper": "us-letter" if words.country in _LETTER else "a4",
        "title": title,
        "subtitle": subtitle,
        "footer": footer,
        "page": i18n.text(PACKAGE, "document.page", words.language),
        "entity": {
            "name": entity.name,
            "lines": [" · ".join([entity.address, entity.phone, entity.email]), entity.website],
        },
        "blocks": blocks,
    }
    plain = _mapped(data, _lines)
    data = _mapped(plain, lambda text: _STRANGE.sub(_numbers_of, text))
    notice: Block = {"kind": "small", "text": i18n.text(PACKAGE, "document.undrawable", words.language)}
    if data != plain:
        data["blocks"].append(notice)
    try:
        return _compiled(data, at)
    except typst.TypstError as error:
        refused = _refused(error.diagnostic)
    if notice not in data["blocks"]:
        data["blocks"].append(notice)
    try:
        return _compiled(_mapped(data, lambda text: refused.sub(_numbers_of, text)), at)
    except typst.TypstError:
        return _compiled(_mapped(data, lambda text: _UNSURE.sub(_numbers_of, text)), at)


def _compiled(data: dict[str, Any], at: datetime) -> bytes:
    return typst.compile(
        _TEMPLATE / "document.typ",
        root=_TEMPLATE,
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(data)},
        pdf_standards=["a-2a", "ua-1"],
        timestamp=int(at.timestamp()),
    )


def _mapped(data: Any, change: Callable[[str], str]) -> Any:
    if isinstance(data, str):
        return change(data)
    if isinstance(data, dict):
        return {key: value if key in ("kind", "qr") else _mapped(value, change) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_mapped(item, change) for item in data]
    return data


def _lines(text: str) -> str:
    """Every line end as a newline and every blank as a blank; nothing invisible, nothing that is no character."""
    text = _INVISIBLE.sub("", _LINE_END.sub("\n", text)).replace("\t", " ").replace("\xa0", " ")
    return unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())


def _numbers_of(match: re.Match[str]) -> str:
    written = []
    for c, same in groupby(match[0]):
        n = len(list(same))
        written.append(f"U+{ord(c):04X}" + (f" ×{n}" if n > 1 else ""))
    return f"[{' '.join(written)}]"


def _refused(diagnostic: str) -> re.Pattern[str]:
    """Finds the characters that the exporter says it cannot draw or the standard forbids.

    It names whole clusters: a plain letter under a mark that cannot be drawn stays.
    """
    quoted = "".join(_REFUSED.findall(diagnostic))
    found = "".join(_UNSURE.findall(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), quoted)))
    return re.compile(f"[{re.escape(found)}]+" if found else "(?!)")
