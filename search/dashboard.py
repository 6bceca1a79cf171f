"""optuna-dashboard on a study's storage, for this machine alone."""

import socketserver
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna_dashboard
from optuna.storages import BaseStorage

from ..errors import InputError

HOST = "127.0.0.1"


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A page asks for many things at once, so each request gets a thread."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are no news."""


def make_dashboard(storage: BaseStorage, port: int) -> WSGIServer:
    """A server of the dashboard, bound to 127.0.0.1; call its `serve_forever`.

    Args:
        storage: whose studies to show.
        port: 0 takes any that is free.

    Raises:
        InputError: the port cannot be had.
    """
    try:
        return make_server(
            HOST,
            port,
            optuna_dashboard.wsgi(storage),
            server_class=_Server,
            handler_class=_Quiet,
        )
    except (OSError, OverflowError) as error:
        raise InputError(
            f"the dashboard cannot listen on port {port}: {error}; choose another with --port"
        ) from None
