"""The training loop of baselines and plans.

SGD with momentum and the one-cycle schedule of Smith and Topin: Super-Convergence (2018),
https://arxiv.org/abs/1708.07120; its defaults are those of the paper on which Paredown is based.
Distillation follows Hinton et al. (2015), https://arxiv.org/abs/1503.02531.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from ...errors import TrainingDiverged
from ...heartbeat import beat
from ...safe_convolutions import safe_convolutions
from ...spaces.graph.zero_masks import zero_masks
from ..data import Augmentation, ImageSet, Normalisation
from .batchnorm import recalibrate_bn
from .device import has_bf16
from .progress import SILENT, Progress
from .recipe import Recipe


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch inside, and restore its random state afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def train(
    network: nn.Module,
    images: ImageSet,
    normalisation: Normalisation,
    augmentation: Augmentation,
    recipe: Recipe,
    seed: int,
    teacher: nn.Module | None = None,
    progress: Progress = SILENT,
    after_epoch: Callable[[int], None] | None = None,
) -> None:
    """Train a network in place, on its device; it ends in evaluation mode.

    Args:
        network: [batch, channels, h, w] -> [batch, classes].
        images: the training images.
        normalisation, augmentation: applied to each batch.
        recipe: the training recipe.
        seed: the seed of order, augmentation and dropout.
        teacher: the teacher network, if the recipe distils.
        progress: notified of every epoch.
        after_epoch: called with the number of completed epochs; it may run the network.

    Raises:
        TrainingDiverged: the loss or the weights are not finite.
    """
    if recipe.epochs == 0:
        network.eval()
        return
    device = next(network.parameters()).device
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    drop_last = len(images) >= recipe.batch_size  # batch norm fails on a last batch of one
    steps = max(1, len(images) // recipe.batch_size) * recipe.epochs
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.max_lr, recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.max_lr,
        total_steps=steps,
        pct_start=recipe.warmup * (1 - 1e-9),  # OneCycleLR divides by warm-up steps - 1
        cycle_momentum=False,
    )
    order = torch.Generator().manual_seed(seed)
    changes = torch.Generator(device).manual_seed(seed)
    with seeded(seed), zero_masks(network), safe_convolutions(network):
        network.train()
        for epoch in range(recipe.epochs):
            total, batches = torch.zeros((), device=device), 0
            for pixels, labels in images.batches(
                recipe.batch_size, shuffle=order, drop_last=drop_last
            ):
                shown = normalisation(augmentation(pixels.to(device), changes))
                shown = shown.contiguous(memory_format=torch.channels_last)
                with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device)):
                    loss = _loss(network, shown, labels.to(device), recipe, teacher)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                total += loss.detach()
                batches += 1
                beat()
            mean = total.item() / max(batches, 1)
            if not math.isfinite(mean):
                raise TrainingDiverged(f"the training loss is {mean} in epoch {epoch + 1}")
            progress.epoch(epoch + 1, mean)
            if after_epoch:
                after_epoch(epoch + 1)
                network.train()
    # The loss of the last step was computed before its update.
    state = network.state_dict().values()
    if not all(bool(t.isfinite().all()) for t in state if t.is_floating_point()):
        raise TrainingDiverged("the weights are not finite after the last epoch")
    network.eval()


def recalibrate_batchnorm(
    network: nn.Module, images: ImageSet, normalisation: Normalisation, batches: int = 8
) -> None:
    """Recompute batch norm's running statistics on training images, without training."""
    with recalibrate_bn(network), torch.no_grad(), safe_convolutions(network):
        for batch, _ in first_batches(network, images, normalisation, batches):
            network(batch)
            beat()


def first_batches(
    network: nn.Module, images: ImageSet, normalisation: Normalisation, batches: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return a few normalised batches of images, with labels, on a network's device.

    The batches are the same in each call.
    """
    device = next(network.parameters()).device
    order, taken = torch.Generator().manual_seed(0), []
    # A smaller last batch would have the weight of a full one, and batch norm fails on one image.
    for pixels, labels in images.batches(128, shuffle=order, drop_last=len(images) >= 128):
        taken.append((normalisation(pixels.to(device)), labels.to(device)))
        if len(taken) == batches:
            break
    return taken


def _loss(
    network: nn.Module,
    shown: torch.Tensor,
    labels: torch.Tensor,
    recipe: Recipe,
    teacher: nn.Module | None,
) -> torch.Tensor:
    scores = network(shown).float()
    hard = F.cross_entropy(scores, labels)
    if teacher is None or recipe.distill == 0:
        return hard
    with torch.no_grad():
        taught = teacher(shown).float()
    soft = F.kl_div(
        F.log_softmax(scores / recipe.temperature, 1),
        F.log_softmax(taught / recipe.temperature, 1),
        log_target=True,
        reduction="batchmean",
    )
    # The squared temperature keeps soft gradients at the scale of the hard ones (Hinton et al.).
    return (1 - recipe.distill) * hard + recipe.distill * recipe.temperature**2 * soft
