"""What the models decide by, over all recordings: how much worse they predict held-out recordings without it.

Families of summary features are permuted: each recording gets the family's values of another held-out recording of its
fold, all of the family together, so that what its features say of one another stays (permutation importance: Breiman,
"Random forests", Machine Learning 45, 2001, doi:10.1023/A:1010933404324). A model without such features is shown the
recordings without the spikes of a ninth of the array (occlusion, as in :mod:`mea.classification.occlusion`).
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from mea.arrays.events import SpikeEvents
from mea.models.base import Model
from mea.models.pool import Pool
from mea.runtime.parallel import PATIENCE_S, show_progress
from mea.splitting.groups import list_recordings
from mea.statistics.calibration import take_logs

REPEATS = 10  # permutations of each family in each fold
FAMILY, PART = "family of features", "part of the array"
THIRDS = (("upper", "middle", "lower"), ("left", "centre", "right"))


def measure_importance(
    open_model: Callable[[int], Model | Pool],
    folds: list[int],
    chunks: pd.DataFrame,
    events: Mapping[str, SpikeEvents],
    labels: list[str],
    seed: int,
) -> pd.DataFrame:
    """How much log loss rises and accuracy falls in each fold, on the recordings that it held out.

    Parameters
    ----------
    open_model, folds
        Gives the model of a fold; the scored folds.
    chunks
        All chunks with their fold.
    events
        Of each recording.
    labels
        The classes, sorted.
    seed
        Of the permutations.

    Returns
    -------
    pd.DataFrame
        One row for each fold and each thing left out: kind (:data:`FAMILY` or :data:`PART`), name, fold, log_loss
        (rise, nats a recording, before calibration; mean over the permutations) and accuracy (fall, as a fraction).
        A fold that holds out a single recording has nothing to permute, and no families.
    """
    rows = []
    for fold in show_progress(folds, desc="importance", delay=PATIENCE_S):
        held_out, model = chunks[chunks["fold"] == fold], open_model(fold)
        recordings = list_recordings(held_out).sort_values("recording")
        targets = recordings["label"].map(labels.index).to_numpy(int)
        names = recordings["recording"].tolist()
        random = np.random.default_rng([seed, fold])
        orders = [random.permutation(len(names)) for _ in range(REPEATS)]
        whole = _score(model.predict_recordings(held_out, events), targets)
        permuted = model.permute_families(held_out, events, orders) if len(names) > 1 else ()
        found = {(FAMILY, name): _score(one, targets) for name, one in permuted}
        if not model.list_feature_families(events[names[0]].has_waveforms):
            for part in range(9):
                shown = {name: _occlude(events[name], part) for name in names}
                where = f"{THIRDS[0][part // 3]} {THIRDS[1][part % 3]}"
                found[PART, where] = _score(model.predict_recordings(held_out, shown), targets)
        for (kind, name), (loss, accuracy) in found.items():
            rows.append((kind, name, fold, loss - whole[0], whole[1] - accuracy))
    return pd.DataFrame(rows, columns=["kind", "name", "fold", "log_loss", "accuracy"])


def summarise_importance(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """For each thing left out, the most important first: mean over the folds, and their standard deviation."""
    found = table.groupby("name")[["log_loss", "accuracy"]].agg(["mean", "std"])
    order = found.sort_values(("log_loss", "mean"), ascending=False, kind="stable").index
    return {
        name: {
            "log_loss": found.loc[name, ("log_loss", "mean")],
            "log_loss_std": found.loc[name, ("log_loss", "std")],
            "accuracy": found.loc[name, ("accuracy", "mean")],
        }
        for name in order
    }


def _score(probabilities: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Mean log loss and accuracy of (…, n_recordings, n_labels)."""
    logs = take_logs(probabilities)[..., np.arange(len(targets)), targets]
    return float(-logs.mean()), float((probabilities.argmax(-1) == targets).mean())


def _occlude(events: SpikeEvents, part: int) -> SpikeEvents:
    """A recording without the spikes of one of nine parts of its grid, numbered row by row."""
    row, col = events.row * 3 // events.rows, events.col * 3 // events.cols
    return events.silence(np.flatnonzero(row * 3 + col == part))
