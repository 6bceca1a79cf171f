"""The server of optuna-dashboard, bound to 127.0.0.1."""

import re
import socketserver
from collections.abc import Iterable
from functools import partial
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard
from optuna.storages import BaseStorage, get_storage

from ...errors import InputError
from ..export.artifacts import Artifacts
from .best_trials import with_best
from .dashboard_storage import DashboardStorage
from .narrow import with_rules
from .wsgi import Application

HOST = "127.0.0.1"

_STUDY = re.compile(r"/api/studies/(\d+)")


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A server with a thread per request, as a page sends many requests at once."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


def make_dashboard(storage: BaseStorage, url: str, port: int) -> WSGIServer:
    """Create the dashboard's server, bound to 127.0.0.1; call its `serve_forever`.

    Args:
        storage: the storage whose studies to show.
        url: URL of the storage.
        port: the port; 0 chooses a free one.

    Raises:
        InputError: the port is not available.
    """
    try:
        return make_server(
            HOST,
            port,
            _application(storage, url),
            server_class=_Server,
            handler_class=_Quiet,
        )
    except (OSError, OverflowError) as error:
        raise InputError(
            f"the dashboard cannot listen on port {port}: {error}; choose another with --port"
        ) from None


def _application(storage: BaseStorage, url: str) -> Application:
    store = Artifacts(url)
    adorned = DashboardStorage(url, get_storage(storage), store)
    shown: Application = optuna_dashboard.wsgi(adorned, artifact_store=store)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, method = environ.get("PATH_INFO", ""), environ.get("REQUEST_METHOD")
        match = _STUDY.match(path)
        adorned.looking_at(int(match[1]) if match else None)
        if match and match.end() == len(path) and method == "GET":
            best = partial(adorned.best, int(match[1]))
            return with_best(shown, best, environ, start_response)
        if path.startswith("/dashboard") and method == "GET":
            return with_rules(shown, environ, start_response)
        return shown(environ, start_response)

    return application
