"""The best trials in the dashboard: the Pareto front of the largest budget.

NOTE: optuna-dashboard's own selection ignores the constraint, so that the smallest network would be
the best trial whatever its accuracy.
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
    """The dashboard's response about a study, with the best trials replaced.

    Requests that are not understood, as of another version, are passed through unchanged.

    Args:
        shown: the dashboard's application.
        best: returns the numbers of the best trials, or None; called after the dashboard's
            response.
        environ, start_response: the request, a GET of a study.
    """
    after = parse_qs(environ.get("QUERY_STRING", "")).get("after", ["0"])[0]
    if not after.isdecimal():
        return shown(environ, start_response)

    def with_others(body: bytes) -> bytes:
        return _with_others(body, best(), int(after))

    # The page requests new trials only, but best trials may be older: request all of them.
    return changed(shown, environ | {"QUERY_STRING": "after=0"}, start_response, with_others)


def _with_others(body: bytes, best: Collection[int] | None, after: int) -> bytes:
    data = json.loads(body)
    trials = data["trials"]
    if best is not None:
        data["best_trials"] = [item for item in trials if item["number"] in best]
    return json.dumps(data | {"trials": trials[after:]}).encode()
