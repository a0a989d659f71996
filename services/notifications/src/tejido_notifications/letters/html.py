"""The HTML twin of a mail. It is made of the finished text, so that both say the same and nothing in the text is ever markup."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from urllib.parse import urlsplit

from babel import Locale
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from tejido_shared import i18n
from tejido_shared.jurisdiction import Entity

_URL = re.compile(r"https?://[^\s<>\"'«»]+", re.IGNORECASE)
_FACT = re.compile(r"(?P<label>[^\W\d_][^:.\n]{0,39}): +(?P<value>\S.*)")
_LONGEST_HEADING = 80


@dataclass(frozen=True)
class Piece:
    """A run of text on a line."""

    text: str
    href: str = ""
    strong: bool = False


@dataclass
class Block:
    """Paragraphs (`text`), lines of one paragraph, a list, or labelled facts. A line is its pieces."""

    kind: str
    lines: list[list[Piece]] = field(default_factory=list)
    facts: list[tuple[str, list[Piece]]] = field(default_factory=list)


@dataclass
class Section:
    """What follows a heading, or the beginning. `role`: `due` says until when, `act` what to do."""

    title: str = ""
    role: str = ""
    blocks: list[Block] = field(default_factory=list)


def html_of(
    subject: str,
    body: str,
    language: str,
    *,
    entity: Entity,
    signature: str,
    public_url: str,
    unsubscribe_url: str | None = None,
) -> str:
    """A whole page of HTML that says what subject and body say.

    A line in capitals at the head of a paragraph is a heading, lines with `- ` before them are a list, two or more lines
    `Label: value` are facts. Addresses of `public_url` and of the entity's website become links, others stay text. What follows the
    signature is the footer.
    """
    own = _origins(public_url, entity.website)
    body = _visible(body)
    main, found, rest = body.rpartition(signature.strip())
    if not found:
        main, rest = body, ""
    return _layout().render(
        subject=subject,
        language=language,
        entity=entity.name,
        sections=[(section.title, section.role, _shown(section.blocks)) for section in _sections(main, language, own)],
        foot=_foot(found + rest, own),
        unsubscribe_url=unsubscribe_url,
        unsubscribe=i18n.text("tejido_notifications", "letter.unsubscribe", language),
    )


def _shown(blocks: Iterable[Block]) -> Markup:
    """The blocks as HTML. Not in the layout, for macros of Jinja2 take four times as long, and every mail has a dozen."""
    return Markup("".join(_SHOWN[block.kind](block) for block in blocks))  # noqa: S704 - each piece is escaped


@lru_cache(maxsize=64)  # all letters of a language end alike
def _foot(text: str, own: frozenset[str]) -> Markup:
    blocks = [block for group in _groups(text) for block in _blocks(group, own)]
    for block in blocks:  # an address is no list of facts, nor paragraphs
        block.kind, block.lines = "lines", block.lines or [[Piece(f"{k}: "), *line] for k, line in block.facts]
    return _shown(blocks)


def _text(block: Block) -> str:
    *before, last = (_inline(line) for line in block.lines)
    return "".join(f'<p class="line">{line}</p>\n' for line in before) + f"<p>{last}</p>\n"


def _lines(block: Block) -> str:
    return "<p>" + "<br>\n".join(map(_inline, block.lines)) + "</p>\n"


def _list(block: Block) -> str:
    items = (f"<li>{_inline(line)}</li>\n" for line in block.lines)
    return "<ul>\n" + "".join(items) + "</ul>\n"


def _facts(block: Block) -> str:
    rows = (f"<div><dt>{escape(label)}</dt> <dd>{_inline(line)}</dd></div>\n" for label, line in block.facts)
    return "<dl>\n" + "".join(rows) + "</dl>\n"


_SHOWN = {"text": _text, "lines": _lines, "list": _list, "facts": _facts}


def _inline(pieces: Iterable[Piece]) -> str:
    return "".join(map(_piece, pieces))


def _piece(piece: Piece) -> str:
    text = str(escape(piece.text))
    if piece.href:
        return f'<a href="{escape(piece.href)}">{text}</a>'
    return f"<strong>{text}</strong>" if piece.strong else text


def _visible(text: str) -> str:
    if text.replace("\n", "").replace("\t", "").replace("\N{NO-BREAK SPACE}", "").isprintable():
        return text
    return "".join(c for c in text if c in "\n\t\N{NO-BREAK SPACE}" or c.isprintable())


def _sections(text: str, language: str, own: frozenset[str]) -> list[Section]:
    sections = [Section()]
    for group in _groups(text):
        if len(group) > 1 and _is_heading(group[0]):
            title = group[0].strip()
            sections.append(Section(title, _role(title, language)))
            group = group[1:]  # noqa: PLW2901
        blocks = _blocks(group, own)
        sections[-1].blocks += blocks
    for section in sections:
        if section.role == "due":
            _stress(section, language)
    return sections


def _groups(text: str) -> list[list[str]]:
    """The paragraphs, each as its lines."""
    return [
        [line.strip() for line in group.split("\n") if line.strip()]
        for group in re.split(r"\n\s*\n", text.strip())
        if group.strip()
    ]


def _blocks(lines: list[str], own: frozenset[str]) -> list[Block]:
    facts = [fact for line in lines if (fact := _FACT.fullmatch(line))] if len(lines) > 1 else []
    if facts and len(facts) == len(lines):
        return [Block("facts", facts=[(fact["label"], _pieces(fact["value"], own)) for fact in facts])]
    blocks: list[Block] = []
    for line in lines:
        kind = "list" if line.startswith("- ") else "text"
        if not blocks or blocks[-1].kind != kind:
            blocks.append(Block(kind))
        blocks[-1].lines.append(_pieces(line.removeprefix("- ") if kind == "list" else line, own))
    return blocks


def _pieces(line: str, own: frozenset[str]) -> list[Piece]:
    pieces, end = [], 0
    for match in _URL.finditer(line) if "://" in line else ():
        url = match[0].rstrip(".,;:!?)]}…")
        if _origin(url) in own:
            pieces += [Piece(line[end : match.start()]), Piece(url, href=url)]
            end = match.start() + len(url)
    return [piece for piece in [*pieces, Piece(line[end:])] if piece.text]


@cache
def _origins(*urls: str) -> frozenset[str]:
    return frozenset(filter(None, map(_origin, urls)))


def _origin(url: str) -> str:
    """Scheme, host and port; empty for what is no plain address."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or "\\" in url:
            return ""
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _is_heading(line: str) -> bool:
    return (
        len(line) <= _LONGEST_HEADING
        and line == line.upper()
        and sum(c.isalpha() for c in line) > 3
        and ":" not in line
    )


def _role(title: str, language: str) -> str:
    for role in ("due", "act"):
        if title in i18n.text("tejido_notifications", f"letter.{role}", language).split(" | "):
            return role
    return ""


def _stress(section: Section, language: str) -> None:
    """Makes the first sentence of the last line that names a date stand out; of the first line, if none does."""
    lines = [line for block in section.blocks if block.kind == "text" for line in block.lines]
    dated = [line for line in lines if _names_a_date("".join(piece.text for piece in line), language)]
    for line in dated[-1:] or lines[:1]:
        sentence, stop, rest = line[0].text.partition(". ")
        if not line[0].href:
            line[:1] = [Piece(sentence + stop.rstrip(), strong=True), *([Piece(" " + rest)] if rest else [])]


def _names_a_date(text: str, language: str) -> bool:
    return bool(re.search(r"\b\d{4}\b", text)) and any(month in text for month in _months(language))


@cache
def _months(language: str) -> frozenset[str]:
    return frozenset(Locale.parse(language).months["format"]["wide"].values())


@cache
def _layout() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((files("tejido_notifications") / "templates" / "layout.html").read_text("utf-8"))
