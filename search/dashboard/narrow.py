"""CSS rules for the dashboard on narrow screens: one column, with wide elements scrolling.

optuna-dashboard 0.21 has a fixed number of columns, so that its page is twice as wide as a phone.
The rules use its class names; in versions with other names they have no effect.
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
    """The dashboard's response, with the rules in the head of a page.

    Args:
        shown: the dashboard's application.
        environ, start_response: the request.
    """

    def with_head(body: bytes) -> bytes:
        return body.replace(_BEFORE, _RULES + _BEFORE, 1)

    return changed(shown, environ, start_response, with_head)
