"""Scorers that stand in for others where those have nothing to say of a group."""

import torch

from ..channels import Importance


def first_that_scores(*scorers: Importance) -> Importance:
    """A scorer that asks several in turn, until one has figures for the group."""

    def score(group: object) -> torch.Tensor | None:
        for scorer in scorers:
            scores = scorer(group)
            if scores is not None:
                return scores
        return None

    return score
