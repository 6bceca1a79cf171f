"""Hooks by which long work says how far it is."""


class Progress:
    """Does nothing; override what you want to see. All times are seconds."""

    def stage(self, name: str, epochs: int = 0) -> None:
        """A stage begins, perhaps within another.

        They are "baseline", "assemble", "train", "prune", "fine-tune", "quantize" and "score".
        """

    def epoch(self, done: int, loss: float) -> None:
        """An epoch of the current stage has ended, with this mean training loss."""


SILENT = Progress()
