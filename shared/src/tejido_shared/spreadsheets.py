"""Tables that people open with a spreadsheet."""

import re

MARK = b"\xef\xbb\xbf"
"""What tells Excel that a CSV is UTF-8."""
_FORMULA = re.compile(r"^(?=[\t\r\n])|(?:^|(?<=[;\t\r\n]))(?=[^\S\t\r\n]*[=+\-@])")
"""Where a spreadsheet would compute. Not only at the beginning: where a comma separates decimals it takes `;` and not `,` for the end of a
cell, sees no quotes, and then a new line is a new row."""


def defused(text: str) -> str:
    """The text of a cell so that no spreadsheet takes it for a formula."""
    return _FORMULA.sub("'", text)
