"""Labs whose metadata are audited: recordings with folds, and what the array stage writes of them."""

import pandas as pd

from mea.splitting.folds import assign_folds


def make_lab(batches=8, cultures=4, recordings=1, labels="ab", pure=False, split_level="batch", seed=0):
    """Recordings with folds: every batch holds all classes, or (``pure``) every batch one."""
    rows = []
    for batch in range(batches):
        for culture in range(cultures):
            label = labels[(batch if pure else culture) % len(labels)]
            rows += [(label, f"b{batch}c{culture}", f"b{batch}")] * recordings
    table = pd.DataFrame(rows, columns=["label", "culture", "batch"])
    table.insert(0, "recording", [f"r{k:03d}" for k in range(len(table))])
    return table.assign(fold=assign_folds(table, split_level, 4, seed))


def make_catalogue(lab, **columns):
    """What the array stage writes, here with the same of everything unless told otherwise."""
    same = {
        "duration_s": 120.0, "recorded_sampling_rate_hz": 25_000, "noise_uv": 4.0, "places": "f0",
        "start": "2020-01-31T10:00:00", "electrodes": 60, "events": 1,
    }  # fmt: skip
    return pd.DataFrame({"recording": lab["recording"], **same, **columns})
