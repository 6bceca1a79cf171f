"""Which trials the dashboard calls the best.

Its own idea of them leaves the constraint aside, so that the smallest of all ruined networks would
be the best trial. Here they are those on the front within the largest budget.
"""

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import parse_qs

from .wsgi import Application, changed


def with_best(
    shown: Application,
    best: Callable[[], Collection[int] | None],
    environ: dict[str, Any],
    start_response: Any,
) -> Iterable[bytes]:
    """The dashboard's answer about a study, with other best trials.

    What is not understood, such as the answer of another version, is passed on as it came.

    Args:
        shown: the dashboard.
        best: the numbers of the best trials, or None; called when the dashboard has answered.
        environ, start_response: of the request, which is a GET of a study.
    """
    after = parse_qs(environ.get("QUERY_STRING", "")).get("after", ["0"])[0]
    if not after.isdecimal():
        return shown(environ, start_response)

    def with_others(body: bytes) -> bytes:
        return _with_others(body, best(), int(after))

    # Best trials may have come before those that the page does not know yet.
    return changed(shown, environ | {"QUERY_STRING": "after=0"}, start_response, with_others)


def _with_others(body: bytes, best: Collection[int] | None, after: int) -> bytes:
    data = json.loads(body)
    trials = data["trials"]
    if best is not None:
        data["best_trials"] = [item for item in trials if item["number"] in best]
    return json.dumps(data | {"trials": trials[after:]}).encode()
