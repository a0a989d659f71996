"""The language that texts are written in: a small part of Jinja2, in a sandbox, with bounds on what a text may cost.

Texts are written by administrators, not by us, and every message goes through one. So there are no calls, macros, includes or ways to
build large values; loops run over the fields of an event, and what they may do together is limited.
"""

import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from babel import Locale
from babel.dates import format_date, format_time
from jinja2 import StrictUndefined, Template, TemplateRuntimeError, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from tejido_notifications.settings import jurisdiction
from tejido_shared import i18n

LARGEST_SOURCE = 20_000
"""Bytes of a text's source."""
LARGEST_OUTPUT = 200_000
"""Characters of what comes out of it, its inserted values counted apart."""
MOST_STEPS = 2_000
"""Turns of all its loops together."""
LONGEST = 2.0
"""Seconds one rendering may take."""
LARGEST_VALUE = 20_000
"""Characters that a name may hold which the text itself sets."""
BORROWED = ("abs", "capitalize", "default", "first", "int", "last", "length", "lower", "trim", "upper")
OURS = ("day", "instant", "local_date", "say")
_PACKAGE = "tejido_notifications"

_ALLOWED = frozenset(
    {
        *(nodes.Template, nodes.Output, nodes.For, nodes.If, nodes.Assign, nodes.AssignBlock),
        *(nodes.Name, nodes.Const, nodes.TemplateData, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Getattr),
        *(nodes.Getitem, nodes.Slice, nodes.Concat, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
        *(nodes.Add, nodes.Sub, nodes.Neg, nodes.Pos, nodes.List, nodes.Tuple),
    }
)


class TooMuch(TemplateRuntimeError):  # noqa: N818
    """A text does more than it may."""


class NoSuchWords(TemplateRuntimeError):  # noqa: N818
    """The catalogue holds nothing by a key that a text wants said. The message is the key."""


@dataclass
class _Spent:
    until: float
    strict: bool
    steps: int = 0
    characters: int = 0


_spent: ContextVar[_Spent] = ContextVar("spent")


def render(template: Template, fields: Mapping[str, Any], *, strict: bool = False) -> str:
    """The text with its fields filled in.

    `strict`: a field that is none must not be shown, else it leaves nothing behind; a key must be in the catalogue, else it is shown.
    Raises whatever a text may do wrong, `TooMuch` and `NoSuchWords` among it.
    """
    token = _spent.set(_Spent(time.monotonic() + LONGEST, strict))
    try:
        parts, size = [], 0
        for part in template.generate(fields):
            size += len(part)
            if size > LARGEST_OUTPUT:
                raise TooMuch("the text grows too long")
            parts.append(part)
        return "".join(parts)
    finally:
        _spent.reset(token)


@lru_cache(maxsize=256)
def compiled(source: str, language: str) -> Template:
    """Raises `TemplateSyntaxError` with its line, and others for what cannot be read at all."""
    return environment(language).from_string(source)


@cache
def environment(language: str) -> "Environment":
    """The dates are those of the pack's place, in the language of the letter."""
    return Environment(language)


class Environment(ImmutableSandboxedEnvironment):
    """Jinja2 with fewer words."""

    def __init__(self, language: str) -> None:
        super().__init__(  # plain text: there is nothing to escape for
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown, cache_size=0
        )
        self.globals.clear()
        self.filters = {name: FILTERS[name] for name in BORROWED} | _filters(language)
        self.filters |= {"_steps": _steps, "_held": _held}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = _Rules().visit(super()._parse(source, name, filename))
        assert isinstance(tree, nodes.Template)  # noqa: S101 - for mypy
        return tree


class _Rules(NodeTransformer):
    """Refuses what is not of the small language, and puts the bounds around loops and around what is set."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        if type(node) not in _ALLOWED:
            raise TemplateSyntaxError(f"{type(node).__name__} is not allowed here", node.lineno)
        return super().visit(node, *args, **kwargs)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja2's name
        if node.recursive or not isinstance(node.target, nodes.Name):
            raise TemplateSyntaxError("a loop has one variable and is not recursive", node.lineno)
        self.generic_visit(node)
        node.iter = _through("_steps", node.iter, node.lineno)
        return node

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802
        if not isinstance(node.target, nodes.Name):
            raise TemplateSyntaxError("one variable is set at a time", node.lineno)
        self.generic_visit(node)
        node.node = _through("_held", node.node, node.lineno)
        return node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.filter = _through("_held", node.filter, node.lineno)
        return node

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:  # noqa: N802
        """Lists may be compared with, `kind in ("a", "b")`, and nothing else."""
        held = node.expr.items if isinstance(node.expr, nodes.List | nodes.Tuple) else [node.expr]
        for child in held:
            self.visit(child)
        return node

    def visit_List(self, node: nodes.Node) -> nodes.Node:  # noqa: N802
        raise TemplateSyntaxError("a list may only be compared with", node.lineno)

    visit_Tuple = visit_List  # noqa: N815


def unsaid(tree: nodes.Template) -> list[tuple[int, str]]:
    """Line and key of everything a text wants said that no catalogue holds. A key made of variables is known when it is written."""
    filters = (part for part in tree.find_all(nodes.Filter) if part.name == "say")
    keys = {(part.lineno, str(part.node.value)) for part in filters if isinstance(part.node, nodes.Const)}
    return sorted((line, key) for line, key in keys if not i18n.knows(_PACKAGE, key))


def line_of(error: BaseException) -> int:
    """The line of the text in which it failed; 1 if that is not known."""
    lines = [step.lineno for step in traceback.extract_tb(error.__traceback__) if step.filename == "<template>"]
    return (lines[-1] or 1) if lines else 1


def _through(name: str, node: nodes.Node | None, line: int) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=line)


def _steps(values: Iterable[Any]) -> Iterator[Any]:
    spent = _spent.get()
    for value in values:
        spent.steps += 1
        if spent.steps > MOST_STEPS or time.monotonic() > spent.until:
            raise TooMuch("too many turns of a loop")
        yield value


def _held(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LARGEST_VALUE:
        raise TooMuch("a value grows too long")
    if not _plain(value):
        raise TooMuch(f"a {type(value).__name__} cannot be kept")
    return value


@pass_context  # so that it is never called while a text is compiled
def _shown(_: Context, value: Any) -> Any:
    spent = _spent.get()
    if value is None and not spent.strict:
        return ""
    if value is None or not _plain(value):
        raise TemplateRuntimeError(f"{'nothing' if value is None else 'a ' + type(value).__name__} cannot be shown")
    text = str(value)
    spent.characters += len(text) + 1
    if spent.characters > LARGEST_OUTPUT:
        raise TooMuch("the text grows too long")
    return text


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | date | UUID | Undefined)


def _filters(language: str) -> dict[str, Any]:
    pack = jurisdiction()
    locale = Locale.parse(pack.locale, sep="-")
    if locale.language != language:
        locale = Locale.parse(language)

    @lru_cache(maxsize=1000)  # the same few days stand in thousands of letters
    def day(value: date) -> str:
        return format_date(value, "full", locale)

    def instant(value: datetime) -> str:
        local = value.astimezone(pack.zone)
        time = format_time(local, "short", locale=locale).replace("\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}")
        return f"{day(local.date())}, {time}"

    def local_date(value: datetime) -> date:
        return value.astimezone(pack.zone).date()

    @pass_context  # as with `_shown`
    def say(_: Context, code: str) -> str:
        if _spent.get().strict and not i18n.knows(_PACKAGE, code):
            raise NoSuchWords(str(code))
        return i18n.text(_PACKAGE, code, language)

    return {"day": day, "instant": instant, "local_date": local_date, "say": say}
