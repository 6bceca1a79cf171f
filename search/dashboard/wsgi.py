"""WSGI middleware (PEP 3333) that changes the body of a response."""

from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""A WSGI application: (environ, start_response) -> parts of the body."""


def changed(
    shown: Application,
    environ: dict[str, Any],
    start_response: Any,
    change: Callable[[bytes], bytes],
) -> Iterable[bytes]:
    """An application's response with a changed body.

    Args:
        shown: the application.
        environ, start_response: the request.
        change: body -> changed body; only called for status 200.
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
