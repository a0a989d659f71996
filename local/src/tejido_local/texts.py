"""Texts for whoever types `./tejido`, from `locale/{es,en}/LC_MESSAGES/messages.po`.

Needs nothing but the standard library, so that the script `tejido` can speak before the environment exists.
"""

import ast
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict  # noqa: UP035  the script must load this file on an old Python in order to refuse it politely


@lru_cache(maxsize=None)  # noqa: UP033  as above
def _catalogue(lang: str) -> Dict[str, str]:  # noqa: UP006
    path = Path(__file__).parent / "locale" / lang / "LC_MESSAGES" / "messages.po"
    entries, field = [], ""
    for line in path.read_text(encoding="utf-8").splitlines():
        keyword, _, rest = line.partition(" ")
        if keyword in ("msgid", "msgstr"):
            field = keyword
            if field == "msgid":
                entries.append({"msgid": "", "msgstr": ""})
            entries[-1][field] = ast.literal_eval(rest)
        elif line.startswith('"'):
            entries[-1][field] += ast.literal_eval(line)
    return {entry["msgid"]: entry["msgstr"] for entry in entries}


def language() -> str:
    """`en` where the terminal's locale is English, else `es`."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "en" if locale.startswith("en") else "es"


def text(code: str, lang: str = "", **params: Any) -> str:
    """The text with this code in `lang` or the terminal's language; the code itself where no catalogue holds it."""
    found = _catalogue(lang or language()).get(code, code)
    return found.format(**params) if params else found


def say(code: str, **params: Any) -> None:
    """Print the text with this code at once, also into a pipe."""
    print(text(code, **params), flush=True)
