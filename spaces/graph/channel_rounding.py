"""How many channels stay: by rule and not by weights, so that costs are known beforehand."""

MULTIPLES = {8: 64, 4: 16, 1: 1}
"""Multiple of channels -> how many a group must have to be rounded to it."""

WIDEST_MULTIPLE = max(MULTIPLES)


def kept_channels(size: int, share: float, multiple: int = WIDEST_MULTIPLE) -> int:
    """How many of `size` channels stay when `share` of them (0 to 1) should; never none.

    Args:
        size: of the group.
        share: that should stay.
        multiple: to which it is rounded in wide groups, since odd widths give no speed; 4 at most
            in middling ones, 1 in narrow ones.
    """
    allowed = min(multiple, next(m for m, least in MULTIPLES.items() if size >= least))
    return min(size, max(allowed, round(size * share / allowed) * allowed))
