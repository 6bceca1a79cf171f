"""`paredown count`: the cost of a model, with and without a plan."""

from pathlib import Path
from typing import Annotated

import typer

from ...lazy_imports import paused_gc
from .common import Json, print_json, stdout


def count(
    model: Annotated[
        str, typer.Argument(help="A name of `paredown models`, timm:NAME or file.py:function.")
    ],
    plan: Annotated[Path | None, typer.Option(help="JSON file of a plan.")] = None,
    approach: Annotated[
        int | None,
        typer.Option(metavar="N", help="Approach of the paper: resnet101 1-15, vgg19 1-13."),
    ] = None,
    classes: Annotated[int, typer.Option(min=2, max=10**6, help="Number of classes.")] = 10,
    size: Annotated[
        int, typer.Option(min=1, max=4096, metavar="PX", help="Image size, in pixels per side.")
    ] = 32,
    as_json: Json = False,
) -> None:
    """Count a model's params, MACs and bytes, with and without a plan; no training."""
    from ...extensions import load_extensions

    with paused_gc():
        from ..terminal.model_cost import count_model

    load_extensions()
    counted = count_model(model, plan, approach, classes, size)
    if as_json:
        print_json(counted.to_dict())
    else:
        counted.print(stdout())
