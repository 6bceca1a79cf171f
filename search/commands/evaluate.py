"""`paredown evaluate`: score an exported file."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from .common import Json, print_json, stderr, stdout


def evaluate(
    file: Annotated[Path, typer.Argument(help="An exported file, or an exported folder.")],
    data: Annotated[
        str, typer.Option(help="Name of a data set, a folder of images, or file.py:function.")
    ],
    split: Annotated[str, typer.Option(help="Split to score: test, search or train.")] = "test",
    model: Annotated[
        str | None,
        typer.Option(
            help="Function that builds your own network of a safetensors file: file.py:function."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score an exported file on a data set or a folder of images."""
    from ..export.evaluating import evaluate as run

    evaluation = run(file, data, split, model)
    if as_json:
        print_json(evaluation.to_dict())
    else:
        of = "of" if evaluation.metric == "accuracy" else f"{evaluation.metric} over"
        accuracy = f"[bold]{evaluation.accuracy:.2f} %[/] {of} {evaluation.images:,} images"
        stdout().print(
            f"{escape(evaluation.file)}: {accuracy} of {escape(evaluation.data)} "
            f"({evaluation.split} split)",
            highlight=False,
            soft_wrap=True,
        )
        if evaluation.can_saturate:
            stderr().print(
                "An earlier version wrote this file: its outputs may differ on x86 processors "
                "without VNNI. Export it again.",
                highlight=False,
                soft_wrap=True,
            )
