"""The dashboard's page on a narrow window: one column, and what is wide scrolls in its own box.

optuna-dashboard 0.21 lays its pictures out in columns whatever the width, so that a page is twice
as wide as a telephone. These rules name its classes; where another version has others, they do
nothing.
"""

from collections.abc import Iterable
from typing import Any

from .wsgi import Application, changed

_RULES = b"""<style>
@media (max-width: 760px) {
  main, main > div { min-width: 0; max-width: calc(100vw - 57px) }
  main fieldset, main fieldset > div { flex-wrap: wrap; max-width: 100% }
  main .MuiGrid-container { display: block }
  main .MuiGrid-item, main [class*="MuiGrid-grid-xs-"] { width: 100%; max-width: 100% }
  main .MuiCard-root, main .MuiBox-root { max-width: 100% }
  main .MuiCardContent-root, main .js-plotly-plot { overflow-x: auto }
}
</style>
"""
_BEFORE = b"</head>"


def with_rules(shown: Application, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The dashboard's answer; a page has the rules in its head.

    Args:
        shown: the dashboard.
        environ, start_response: of the request.
    """

    def with_head(body: bytes) -> bytes:
        return body.replace(_BEFORE, _RULES + _BEFORE, 1)

    return changed(shown, environ, start_response, with_head)
