"""The distance of a recording from the training data in feature space, and the limit that few new ones exceed.

The distance combines two parts (the combined index of Yue and Qin, "Reconstruction-based fault identification using a
combined index", Ind. Eng. Chem. Res. 40:4403 (2001), doi:10.1021/ie000141+): along the main directions in which the
training recordings differ, and beside them. The first part alone would miss recordings that break the usual
correlations between features, such as spike trains shuffled in time.

The limit is a prediction limit. Each group (the cultures of one batch, which resemble each other) is held out, and its
distances from the other groups predict those of a new group: the upper bound of a one-sided prediction interval for the
logarithm of the next distance, Student's t with one degree of freedom fewer than there are groups.

Measured on 370 spike-time recordings in 16 groups (Charlesworth et al., Neural Development 10:1, 2015), groups held out
six ways: 1.9 % of ordinary recordings exceed the limit for 1 %, and 4.1 % the limit for 5 %. Beyond the one and the
other lie: trains shuffled in time 89 and 100 %, trains shifted against each other 85 and 97 %, five spikes within 50 ms
for each one 90 and 100 %, but recordings thinned to a tenth 4 and 29 %, and with half of the electrodes silenced 1 and
8 %: cultures of 7 to 29 days differ by more than that. The distance to the nearest recordings in 12 main directions
found 78 % of shuffled trains at 5.1 % false alarms. Index, bound on features and kept variance were chosen among about
two dozen variants by these numbers, which are therefore slightly optimistic; the limits for 1 and 5 % were not.

Scaling and main directions are what ``RobustScaler`` and ``PCA`` of scikit-learn compute. They are computed here in a
few lines because a feature that is missing or constant needs a rule of its own, and because the arrays are saved.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

CLIP = 5.0  # robust standard deviations; a feature farther off counts as this far
NORMAL_IQR = 1.349  # interquartile range of a normal distribution of standard deviation 1
KEPT_VARIANCE = 0.99  # of the features' variance lies along the main directions
MAX_PARTS = 20  # more groups than these are held out several at a time
MIN_DISTANCES = 3  # to compute a limit from
MAX_EXTRAPOLATION = 2.0  # times the largest distance seen: with few groups, the prediction interval is very wide


@dataclass(frozen=True)
class FeatureSpace:
    """Where the training recordings lie.

    Attributes
    ----------
    median, scale
        (n_features,) median and robust standard deviation of each feature; scale 0 for one that is not used.
    required
        (n_features,) 1 for a feature that is defined in all training recordings: where it is undefined in a new one,
        it counts as far off.
    mean
        (n_features,) mean of the scaled features.
    directions
        (n_directions, n_features) main directions of the scaled features, of length 1.
    direction_std
        (n_directions,) standard deviation along each.
    residual_std
        Square root of the variance beside the main directions.
    """

    median: np.ndarray
    scale: np.ndarray
    required: np.ndarray
    mean: np.ndarray
    directions: np.ndarray
    direction_std: np.ndarray
    residual_std: float

    @classmethod
    def fit(cls, features: np.ndarray) -> "FeatureSpace":
        """The space of (n_recordings, n_features) training recordings; NaN where a feature is undefined."""
        defined = np.isfinite(features)
        low, median, high = np.nanquantile(np.where(defined.any(0), features, 0.0), [0.25, 0.5, 0.75], axis=0)
        scale, required = (high - low) / NORMAL_IQR, defined.all(0).astype(float)
        none = np.zeros(0)
        scaled = cls(median, scale, required, none, none, none, 0.0).scale_features(features)
        mean = scaled.mean(0)
        _, lengths, directions = np.linalg.svd(scaled - mean, full_matrices=False)
        std = lengths / np.sqrt(max(len(features) - 1, 1))
        variance = std**2
        enough = np.searchsorted(np.cumsum(variance), KEPT_VARIANCE * variance.sum()) + 1
        kept = int(min(enough, max(1, len(features) // 4)))
        residual_std = float(np.sqrt(variance[kept:].sum()))
        return cls(median, scale, required, mean, directions[:kept], std[:kept], residual_std)

    def scale_features(self, features: np.ndarray) -> np.ndarray:
        """(n, n_features) robust standard deviations from the median, clipped.

        An undefined feature is 0 (as the median) where some training recordings lack it too, else ``CLIP``.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = np.where(self.scale > 0, (features - self.median) / self.scale, 0.0)
        undefined = np.where((self.required > 0) & (self.scale > 0), CLIP, 0.0)
        return np.clip(np.where(np.isfinite(scaled), scaled, undefined), -CLIP, CLIP)

    def measure_distances(self, features: np.ndarray) -> np.ndarray:
        """(n,) combined distances of (n, n_features): root mean square along the main directions, and beside them."""
        deviations = self.scale_features(features) - self.mean
        along = deviations @ self.directions.T
        beside = (deviations**2).sum(1) - (along**2).sum(1)
        direction_std, residual_std = np.maximum(self.direction_std, 1e-9), max(self.residual_std, 1e-9)
        return np.sqrt(((along / direction_std) ** 2).mean(1) + np.maximum(beside, 0.0) / residual_std**2)


def measure_held_out(features: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, int]:
    """Distance of every recording in the space of the other groups' recordings, and the number of groups.

    With a single group, each recording counts as a group.
    """
    number, names = pd.factorize(groups)
    if len(names) < 2:
        number = np.arange(len(features))
    count = number.max(initial=-1) + 1
    if count < 2:
        return np.zeros(0), count
    distances = np.zeros(len(features))
    for part in range(min(count, MAX_PARTS)):
        held_out = number % MAX_PARTS == part
        distances[held_out] = FeatureSpace.fit(features[~held_out]).measure_distances(features[held_out])
    return distances, count


def prediction_limit(distances: np.ndarray, n_groups: int, fraction: float) -> float:
    """The distance that only this fraction of further recordings, of a new group, should exceed.

    Parameters
    ----------
    distances
        (n,) distances of held-out recordings.
    n_groups
        The groups they come from.
    fraction
        Of further recordings.

    Returns
    -------
    float
        The limit; infinite where there are too few distances. At most twice the largest of them.

    >>> round(prediction_limit(np.array([0.9, 1.0, 1.1, 1.0, 0.95, 1.05]), n_groups=6, fraction=0.05), 2)
    1.16
    """
    if len(distances) < MIN_DISTANCES:
        return np.inf
    logs = np.log(np.maximum(distances, 1e-9))
    margin = student.ppf(1 - fraction, n_groups - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / n_groups)
    return float(min(np.exp(logs.mean() + margin), MAX_EXTRAPOLATION * distances.max()))
