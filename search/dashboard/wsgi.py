"""What a WSGI application answers, taken whole so that it can be changed (PEP 3333)."""

from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""As WSGI has it: (environ, start_response) -> parts of the body."""


def changed(
    shown: Application,
    environ: dict[str, Any],
    start_response: Any,
    change: Callable[[bytes], bytes],
) -> Iterable[bytes]:
    """An application's answer with another body.

    Args:
        shown: the application.
        environ, start_response: of the request.
        change: the body -> another; not called where the status is none of success.
    """
    began = dict[str, Any]()

    def begin(status: str, headers: list[tuple[str, str]], *rest: object) -> None:
        began.update(status=status, headers=headers)

    parts = shown(environ, begin)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    if began["status"].startswith("200"):
        body = change(body)
    headers = [(name, value) for name, value in began["headers"] if name != "Content-Length"]
    start_response(began["status"], [*headers, ("Content-Length", str(len(body)))])
    return [body]
