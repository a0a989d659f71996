"""Where things are: the checkout and the state the local runtime keeps in it."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The checkout. The package is always installed editable, so this file lies inside it."""

STATE = Path(os.environ.get("TEJIDO_STATE") or ROOT / ".tejido").absolute()
"""Data, logs and secrets of the local runtime. The environment stays in the checkout's own `.tejido/venv`."""

SERVICES = ("registry", "projects", "requests", "notifications")
