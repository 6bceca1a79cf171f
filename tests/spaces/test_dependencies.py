"""Channels: how many stay, which belong together, and shortcuts that can lose them."""

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from paredown.spaces.graph.blueprint import Channels
from paredown.spaces.graph.channel_rounding import kept_channels
from paredown.spaces.models.channel_pad import ChannelPad
from paredown.spaces.pruning.dependencies import find_groups
from paredown.spaces.pruning.groups import share_channels
from torch import nn

sizes = st.integers(1, 4096)
shares = st.floats(0, 1)


@given(sizes, shares)
def test_some_channels_stay_and_none_are_made(size: int, share: float) -> None:
    assert 1 <= kept_channels(size, share) <= size


@given(sizes, shares, shares)
def test_a_larger_share_keeps_no_fewer(size: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert kept_channels(size, low) <= kept_channels(size, high)


@given(sizes, shares)
def test_wide_groups_keep_multiples(size: int, share: float) -> None:
    multiple = 8 if size >= 64 else 4 if size >= 16 else 1
    remaining = kept_channels(size, share)
    assert remaining % multiple == 0 or remaining == size
    assert abs(remaining - size * share) <= multiple  # never further from what was asked


def test_kept_channels_at_common_widths() -> None:
    assert [kept_channels(64, share) for share in (1, 0.75, 0.5, 0.25, 0)] == [64, 48, 32, 16, 8]
    assert [kept_channels(16, share) for share in (1, 0.75, 0.5, 0.25, 0)] == [16, 12, 8, 4, 4]
    assert [kept_channels(3, share) for share in (1, 0.5, 0.1, 0)] == [3, 2, 1, 1]


widths = st.integers(1, 12)
strides = st.sampled_from([1, 2])


def slice_and_pad(x: torch.Tensor, out_channels: int, stride: int) -> torch.Tensor:
    """Option A as published: a slice and a zero-pad, the channels in the middle."""
    missing = out_channels - x.shape[1]
    before = missing // 2
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, before, missing - before))


@given(widths, st.integers(0, 12), strides)
def test_a_channel_pad_is_slice_and_pad(into: int, more: int, stride: int) -> None:
    x = torch.randn(2, into, 5, 6)
    pad = ChannelPad(into, into + more, stride)
    assert pad.out_channels == into + more
    assert torch.equal(pad(x), slice_and_pad(x, into + more, stride))


@given(st.data())
def test_cuts_keep_the_meaning_of_a_channel_pad(data: st.DataObject) -> None:
    """After any cuts: the outputs that are left, of an input whose lost channels were zero."""
    into, more, stride = data.draw(widths), data.draw(st.integers(0, 12)), data.draw(strides)
    pad = ChannelPad(into, into + more, stride)
    x = torch.randn(2, into, 4, 4)
    inputs, outputs = list(range(into)), list(range(into + more))
    for _ in range(data.draw(st.integers(1, 4))):
        left = inputs if data.draw(st.booleans()) else outputs
        gone = data.draw(st.sets(st.integers(0, len(left) - 1), max_size=len(left) - 1))
        if left is inputs:
            pad.remove_inputs(sorted(gone))
        else:
            pad.remove_outputs(sorted(gone))
        left[:] = [channel for index, channel in enumerate(left) if index not in gone]
    masked = torch.zeros_like(x)
    masked[:, inputs] = x[:, inputs]
    assert (pad.in_channels, pad.out_channels) == (len(inputs), len(outputs))
    assert torch.equal(pad(x[:, inputs]), slice_and_pad(masked, into + more, stride)[:, outputs])


def test_a_channel_pad_loads_weights_of_the_published_form() -> None:
    pad = ChannelPad(4, 8, 2)
    source = pad.source.clone()
    pad.load_state_dict({})
    assert torch.equal(pad.source, source)
    pad.load_state_dict(ChannelPad(4, 8, 2).state_dict())
    assert torch.equal(pad.source, source)
    assert not list(pad.parameters())


def test_a_channel_pad_can_be_exported() -> None:
    pad, x = ChannelPad(4, 8, 2), torch.randn(2, 4, 6, 6)
    assert torch.equal(torch.export.export(pad, (x,)).module()(x), pad(x))


class Joined(nn.Module):
    """Two convolutions side by side, a residual sum, and a linear layer that sees 2x2 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 6, 3, padding=1)
        self.right = nn.Conv2d(3, 10, 3, padding=1)
        self.both = nn.Conv2d(16, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.more = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Linear(8 * 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.left(x), self.right(x)], 1).relu()
        x = self.norm(self.both(x)).relu()
        x = x + self.more(x)
        out: torch.Tensor = self.classifier(self.pool(x).flatten(1))
        return out


def test_finds_which_channels_belong_together() -> None:
    found_groups = find_groups(Joined(), torch.zeros(2, 3, 8, 8))
    groups = {frozenset(group.writers): group for group in found_groups}
    left = groups[frozenset({"left"})]
    assert (left.size, dict(left.readers), left.reason) == (6, {"both": 1}, "")
    right = groups[frozenset({"right"})]
    assert (right.size, dict(right.readers)) == (10, {"both": 1})
    tied = next(group for writers, group in groups.items() if {"both", "more"} <= writers)
    assert tied.size == 8
    assert tied.readers["classifier"] == 4
    assert tied.readers["more"] == 1
    assert len(found_groups) == 3  # the class scores are nobody's to cut
    assert not any(group.reason for group in found_groups)


def test_channels_as_shares_of_groups() -> None:
    flattened = share_channels(70, {"a": (16, 4)})
    assert flattened == Channels(6, (("a", 4),))
    assert flattened.count({"a": 16}) == 70
    assert flattened.count({"a": 8}) == 38
    joined = share_channels(24, {"a": (16, 1), "b": (8, 1)})
    assert joined.count({"a": 4, "b": 3}) == 7
    assert joined.groups == ("a", "b")
    assert not joined.is_group("a")
    assert share_channels(16, {"a": (16, 1)}).is_group("a")
    # One parameter for all channels, as a PReLU may have: nothing to share.
    assert share_channels(1, {"a": (16, 1)}) == Channels(1)


def test_channels_put_in_other_terms() -> None:
    block = Channels(1, (("in", 2), ("inner", 1)))
    network = block.substitute({"in": Channels(3, (("a", 1), ("b", 4)))})
    assert network.count({"a": 5, "b": 6, "inner": 7}) == 1 + 2 * (3 + 5 + 4 * 6) + 7
