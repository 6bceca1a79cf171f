"""`paredown dashboard`: browse studies in optuna-dashboard."""

import sys
from typing import Annotated

import typer

from ...lazy_imports import paused_gc
from .common import Storage, stdout


def dashboard(
    name: Annotated[str | None, typer.Argument(help="Study to open.")] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free port.")
    ] = 8080,
    storage: Storage = None,
) -> None:
    """Browse studies in optuna-dashboard, served to this machine only."""
    with paused_gc():
        import optuna

        from ..dashboard.server import HOST, make_dashboard
        from ..study.storage import default_storage, open_storage, open_study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = default_storage() if storage is None else storage
    opened = open_storage(url, must_exist=True)
    page = f"/studies/{open_study(opened, url, name)._study_id}" if name else ""
    server = make_dashboard(opened, url, port)
    address = f"http://{HOST}:{server.server_port}/dashboard{page}"
    stdout().print(f"[bold]{address}[/]  (Ctrl-C to stop)", soft_wrap=True)
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
