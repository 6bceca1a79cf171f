"""Pruning criteria: which channels of a group matter least."""

from collections.abc import Callable
from dataclasses import dataclass

import torch_pruning

from .channels import Importance
from .registry import Registry
from .technique import Technique


@dataclass(frozen=True)
class Criterion:
    """A way to score the channels of a group.

    Attributes:
        technique: its description.
        importance: makes the scorer, [group] -> one score per channel, the least important lowest.
    """

    technique: Technique
    importance: Callable[[], Importance]

    @property
    def name(self) -> str:
        return self.technique.name


CRITERIA: Registry[Criterion] = Registry("pruning criterion", see="paredown techniques")

CRITERIA.register(
    Criterion(
        Technique(
            name="l1",
            title="smallest sum of absolute weights",
            replaces="channels of a group",
            saves="what the ratio says",
            paper="Pruning Filters, Li et al. 2017",
            link="https://arxiv.org/abs/1608.08710",
        ),
        lambda: torch_pruning.importance.GroupMagnitudeImportance(p=1),
    )
)
