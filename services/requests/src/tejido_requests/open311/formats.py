"""The two formats of GeoReport v2. The JSON is the XML without the names of what a list holds (the Spark convention)."""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal
from xml.etree import ElementTree as ET

from fastapi import Response
from pydantic import BaseModel

Format = Literal["xml", "json"]
MEDIA_TYPES: dict[Format, str] = {"xml": "text/xml", "json": "application/json"}
_ITEMS = {
    "services": "service",
    "attributes": "attribute",
    "values": "value",
    "service_requests": "request",
    "errors": "error",
    "endpoints": "endpoint",
    "formats": "format",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold, however it is escaped."""


def written(
    how: Format,
    root: str,
    what: BaseModel | Sequence[BaseModel],
    status: int = 200,
    *,
    leave_out: set[str] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An answer in the format asked for. `root` is the name of the XML's root, `leave_out` fields that are not shown."""
    plain: Any = (
        what.model_dump(mode="json", exclude=leave_out)
        if isinstance(what, BaseModel)
        else [one.model_dump(mode="json", exclude=leave_out) for one in what]
    )
    if how == "xml":
        body = ET.tostring(_element(root, plain), encoding="utf-8", xml_declaration=True)
    else:
        body = json.dumps(plain, ensure_ascii=False).encode()
    return Response(body, status, headers, media_type=f"{MEDIA_TYPES[how]}; charset=utf-8")


def _element(name: str, value: Any) -> ET.Element:
    element = ET.Element(name)
    if isinstance(value, dict):
        element.extend(_element(key, child) for key, child in value.items())
    elif isinstance(value, list):
        element.extend(_element(_ITEMS[name], child) for child in value)
    elif isinstance(value, bool):
        element.text = str(value).lower()
    elif value is not None:
        element.text = _NOT_XML.sub("\ufffd", str(value))
    return element
