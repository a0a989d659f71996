"""The seam: the registry listens to nobody. What it publishes is emitted in `service.py` and `imports.py`."""

from tejido_shared.contracts import Event
from tejido_shared.inbox import Handler

HANDLERS: dict[type[Event], Handler] = {}
