"""`paredown techniques`, `paredown models` and `paredown studies`: the listing commands."""

from typing import Any

from .common import Json, print_json, stdout


def techniques(as_json: Json = False) -> None:
    """List the compression techniques and their options."""
    from ...extensions import load_extensions
    from ..terminal.listings import techniques as listing

    load_extensions()
    _list(listing(), as_json)


def models(as_json: Json = False) -> None:
    """List the built-in models."""
    from ...extensions import load_extensions
    from ..terminal.listings import models as listing

    load_extensions()
    _list(listing(), as_json)


def studies(as_json: Json = False) -> None:
    """List the built-in studies."""
    from ..terminal.listings import studies as listing

    _list(listing(), as_json)


def _list(listing: Any, as_json: bool) -> None:
    if as_json:
        print_json({"rows": list(listing.rows)})
    else:
        stdout().print(listing.table())
