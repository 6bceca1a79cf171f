"""`paredown techniques`, `models` and `studies`: what there is to choose from."""

from typing import Any

from .common import Json, print_json, stdout


def techniques(as_json: Json = False) -> None:
    """List what can be done to a network."""
    from ...extensions import load_extensions
    from ..terminal.listings import techniques as listing

    load_extensions()
    _list(listing(), as_json)


def models(as_json: Json = False) -> None:
    """List the models that can be pared down by name."""
    from ...extensions import load_extensions
    from ..terminal.listings import models as listing

    load_extensions()
    _list(listing(), as_json)


def studies(as_json: Json = False) -> None:
    """List the studies that come with Paredown."""
    from ..terminal.listings import studies as listing

    _list(listing(), as_json)


def _list(listing: Any, as_json: bool) -> None:
    if as_json:
        print_json({"rows": list(listing.rows)})
    else:
        stdout().print(listing.table())
