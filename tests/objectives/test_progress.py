"""Hooks may be left out: the base class takes every call and does nothing."""

from paredown.objectives.training.progress import SILENT, Progress


def test_every_hook_may_be_left_out() -> None:
    class Stages(Progress):
        def __init__(self) -> None:
            self.seen = list[tuple[str, int]]()

        def stage(self, name: str, epochs: int = 0) -> None:
            self.seen.append((name, epochs))

    stages = Stages()
    stages.stage("train", 3)
    stages.epoch(1, 0.5)
    stages.stage("score")
    assert stages.seen == [("train", 3), ("score", 0)]


def test_silence() -> None:
    before = dict(vars(SILENT))
    SILENT.stage("train", 3)
    SILENT.epoch(1, 0.5)
    assert vars(SILENT) == before
