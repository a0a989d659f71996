"""What a text may speak of: the fields of its event, and what the municipality says of itself."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from jinja2 import meta, nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tejido_notifications.letters.kinds import model_of
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared.contracts import Sealed
from tejido_shared.jurisdiction import Entity, Office, Texts

_OF_THE_HOUSE: dict[str, type[BaseModel]] = {"office": Office, "entity": Entity, "texts": Texts}
_OWN_PERSONAL = {"notifications.verification": frozenset({"name"})}
_ONE_LINE = ("recipient_name", "name", "subject", "organization_name")
WITHHELD = "…"


class Shape(NamedTuple):
    """A field's type, taken apart."""

    of: Any
    optional: bool
    many: bool


class Variable(NamedTuple):
    """`name` is how a text writes it; `days[].day` is what each of a list has. `meaning` is empty where the name says it all."""

    name: str
    type: str
    meaning: str
    optional: bool
    personal: bool


def shape_of(annotation: Any) -> Shape:
    if get_origin(annotation) in (Union, UnionType):
        held = [kind for kind in get_args(annotation) if kind is not type(None)]
        of, _, many = shape_of(held[0])
        return Shape(of, len(held) < len(get_args(annotation)), many)
    if get_origin(annotation) in (list, tuple):
        return Shape(shape_of(get_args(annotation)[0]).of, False, True)
    return Shape(annotation, False, False)


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def personal(cause_type: str) -> frozenset[str]:
    """The fields that tell of a person; never in a short message."""
    fields = model_of(cause_type).model_fields.items()
    sealed = frozenset(name for name, field in fields if hides(field.annotation))
    return sealed | _OWN_PERSONAL.get(cause_type, frozenset())


def hides(annotation: Any) -> bool:
    """Whether something sealed is anywhere in a value of this type."""
    if annotation is Sealed or any(hides(part) for part in get_args(annotation)):
        return True
    return is_model(annotation) and any(hides(field.annotation) for field in annotation.model_fields.values())


def fields_of(cause_type: str, context: str, *, withhold: bool = False) -> dict[str, Any]:
    """What a text sees of an event. `withhold`: without what is personal. Raises `ValueError` if `context` is not of that event."""
    pack = jurisdiction()
    event = model_of(cause_type).model_validate_json(context)
    fields = dict(event)
    if withhold:
        for name in personal(cause_type):
            shape = shape_of(type(event).model_fields[name].annotation)
            fields[name] = None if shape.optional else [] if shape.many else WITHHELD
    for name in _ONE_LINE:
        if isinstance(fields.get(name), str):
            fields[name] = one_line(fields[name])
    if _is_tracked(cause_type):
        fields["tracking_url"] = settings().common.tracking_url(fields["number"])
    return fields | {"office": _office(fields.get("office")), "entity": pack.entity, "texts": pack.texts}


def _is_tracked(cause_type: str) -> bool:
    """Whether it is about a request, which its petitioner can follow on a page."""
    return cause_type.startswith("requests.") and "number" in model_of(cause_type).model_fields


def one_line(text: str) -> str:
    """The text without line ends and other control characters: nothing in it can begin a new header."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def documented(cause_type: str) -> Iterator[Variable]:
    """Everything a text of this event may name, the event's own fields first."""
    private = personal(cause_type)
    for name, field in model_of(cause_type).model_fields.items():
        if name not in _OF_THE_HOUSE:
            yield from _documented(name, field, name in private)
    if _is_tracked(cause_type):
        yield Variable("tracking_url", "str", "variable.tracking_url", False, False)
    for name, model in _OF_THE_HOUSE.items():
        yield Variable(name, model.__name__, f"variable.{name}", name == "office", False)
        for inner, field in model.model_fields.items():
            yield from _documented(f"{name}.{inner}", field, False)


def _documented(name: str, field: FieldInfo, private: bool) -> Iterator[Variable]:
    of, optional, many = shape_of(field.annotation)
    kind = "str" if of is Sealed else getattr(of, "__name__", str(of))
    optional = optional or not (field.is_required() or many)
    yield Variable(name, f"list[{kind}]" if many else kind, field.description or "", optional, private)
    if is_model(of):
        for inner, below in of.model_fields.items():
            yield from _documented(f"{name}[].{inner}" if many else f"{name}.{inner}", below, private)


def unknown(tree: nodes.Template, cause_type: str) -> list[tuple[int, str]]:
    """Line and name of everything a text names that does not exist for this event, in its order."""
    known = {variable.name for variable in documented(cause_type) if "." not in variable.name}
    undeclared = meta.find_undeclared_variables(tree) - known
    found = {(name.lineno, name.name) for name in tree.find_all(nodes.Name) if name.name in undeclared}
    models = _models(tree, cause_type)
    for part in tree.find_all(nodes.Getattr):
        whole = part.node
        if not isinstance(whole, nodes.Name) or whole.name not in models:
            continue
        if part.attr not in models[whole.name].model_fields:
            found.add((part.lineno, f"{whole.name}.{part.attr}"))
    return sorted(found)


def named(tree: nodes.Template, names: frozenset[str]) -> list[tuple[int, str]]:
    """Where a text names one of these."""
    return sorted({(name.lineno, name.name) for name in tree.find_all(nodes.Name) if name.name in names})


def _models(tree: nodes.Template, cause_type: str) -> Mapping[str, type[BaseModel]]:
    """What has fields of its own: parts of the event, of the house, and the turns of loops over lists of them."""
    models, lists = dict(_OF_THE_HOUSE), dict[str, type[BaseModel]]()
    for name, field in model_of(cause_type).model_fields.items():
        of, _, many = shape_of(field.annotation)
        if is_model(of):
            (lists if many else models)[name] = of
    for loop in tree.find_all(nodes.For):
        over = loop.iter.node if isinstance(loop.iter, nodes.Filter) else loop.iter
        if isinstance(over, nodes.Name) and isinstance(loop.target, nodes.Name) and over.name in lists:
            models[loop.target.name] = lists[over.name]
    return models


def _office(code: object) -> Office | None:
    """The office as the pack presents it. A message does without one that has left the pack since."""
    try:
        return jurisdiction().office(str(code)) if code else None
    except LookupError:
        return None
