"""Where things are: the checkout and the state the local runtime keeps in it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The checkout. The package is always installed editable, so this file lies inside it."""

STATE = ROOT / ".tejido"
"""Everything `./tejido` makes: environment, data, logs, secrets."""

SERVICES = ("registry", "projects", "requests", "notifications")
