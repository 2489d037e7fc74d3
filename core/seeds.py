"""Every random number of a search follows from its one seed."""

import numpy as np


def derived_seed(seed: int, *path: int) -> int:
    """A 32-bit seed for one place in the search, such as what trial 7 of a search draws (``path=(0, 7)``).

    Different paths give independent seeds (numpy's SeedSequence); the same path gives the same one anywhere.
    """
    # Its length is part of the path: SeedSequence pads with zeros, so that (7,) and (7, 0) would be the same.
    return int(np.random.SeedSequence([seed, len(path), *path]).generate_state(1)[0])
