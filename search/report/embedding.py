"""Data inside a page, where no text of it can end the element that it is in."""

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

_HARMLESS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028"}


def as_json(data: Mapping[str, Any]) -> Markup:
    """Data as JSON for a script element."""
    return harmless(json.dumps(data))


def harmless(text: str) -> Markup:
    """JSON with the characters of markup written as JSON escapes; it means the same."""
    for character, escaped in _HARMLESS.items():
        text = text.replace(character, escaped)
    return Markup(text)
