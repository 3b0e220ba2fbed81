"""What an unquoted scalar means: YAML 1.2's core schema, not PyYAML's 1.1.

`1e-4` is a number; `on`, `off`, `yes`, `no`, `0o17`, `0x1f`, `010`, `1_000` and `1:30` are words.
"""

from __future__ import annotations

import math
import re
import unicodedata

from invbench.matrix.source.nodes import Value

MAX_WORD = 4096  # characters
MAX_DIGITS = 18  # of a whole number, its sign included: always within 64 bits

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def resolve(text: str) -> Value:
    """The value of an unquoted scalar; ValueError for a number that is infinite, absent or too large."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a whole number may have {MAX_DIGITS} characters, not {len(text)}")
        return int(text)
    if _NOT_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        raise ValueError(f"a number must be finite, not {text}")
    return float(text) if _FLOAT.fullmatch(text) else text


def check_word(text: str) -> None:
    """ValueError for a scalar that is too long or holds what cannot be printed or stored (NUL, half a pair)."""
    if len(text) > MAX_WORD:
        raise ValueError(f"longer than {MAX_WORD} characters")
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n" for c in text):
        raise ValueError("control characters are not allowed")
