"""Learning curves as a table."""

from collections.abc import Sequence

import pandas as pd

CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def tabulate_curves(rows: Sequence[Sequence[float]], processes: Sequence[int] = ()) -> pd.DataFrame:
    """One row an epoch, the epoch counted from 1; in its ``attrs`` the processes that trained each epoch."""
    table = pd.DataFrame(rows, columns=list(CURVES))
    table.insert(0, "epoch", range(1, len(table) + 1))
    table.attrs["processes"] = list(processes)
    return table
