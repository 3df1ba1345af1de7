"""Which electrodes measure nothing: one rule, for the doctor (samples) and for new recordings (spike events)."""

import numpy as np

DEAD_FRACTION = 0.3  # of the usual noise


def find_dead_electrodes(noise_uv: np.ndarray) -> np.ndarray:
    """Which electrodes have so little noise that they have no contact.

    Parameters
    ----------
    noise_uv
        (n_electrodes,) robust standard deviations of the electrodes of one recording.

    Returns
    -------
    (n_electrodes,) bool
        Noise of at most 30 % of the 75 % quantile. Not of the median: more than half of the electrodes may be dead. If
        no electrode has any noise, all are dead.

    >>> find_dead_electrodes(np.array([0.0, 1.0, 4.0, 5.0, 4.5]))
    array([ True,  True, False, False, False])
    """
    noise_uv = np.asarray(noise_uv, float)
    if not len(noise_uv):
        return np.zeros(0, bool)
    return noise_uv <= DEAD_FRACTION * np.quantile(noise_uv, 0.75)
