"""Numbers of remaining channels, independent of weights: costs are known before training."""

MULTIPLES = {8: 64, 4: 16, 1: 1}
"""Multiple of channels -> the minimum group size for rounding to that multiple."""

WIDEST_MULTIPLE = max(MULTIPLES)


def kept_channels(size: int, share: float, multiple: int = WIDEST_MULTIPLE) -> int:
    """Compute the number of remaining channels of a group; at least 1.

    Args:
        size: the size of the group.
        share: the desired share of remaining channels, 0 to 1.
        multiple: the multiple to which the number is rounded in wide groups, since hardware gains
            no speed from odd widths; at most 4 in medium groups, 1 in narrow ones (`MULTIPLES`).
    """
    allowed = min(multiple, next(m for m, least in MULTIPLES.items() if size >= least))
    return min(size, max(allowed, round(size * share / allowed) * allowed))
