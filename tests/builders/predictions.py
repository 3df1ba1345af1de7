"""Predictions of recordings with two classes, and rules for them, without any model."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mea.evaluation.rules import Rules
from mea.splitting.aggregation import add_predictions, get_probabilities
from mea.statistics.calibration import Calibrator
from mea.statistics.conformal import ConformalSets

LABELS = ["a", "b"]
PROBES = np.column_stack([np.linspace(0, 1, 201), 1 - np.linspace(0, 1, 201)])


def make_table(p_b, label, batch=None):
    """Recordings with this raw probability of label b; each is its own batch unless ``batch`` says otherwise."""
    p_b = np.asarray(p_b, float)
    names = [f"r{k:03d}" for k in range(len(p_b))]
    table = pd.DataFrame({"recording": names, "label": list(label), "culture": "", "batch": batch or names})
    return table.assign(p_a=1 - p_b, p_b=p_b)


def add_raw_predictions(table, fold=0):
    """Recordings as they are before rules are applied: predicted by their raw probabilities."""
    return add_predictions(table.assign(fold=fold), get_probabilities(table, LABELS), LABELS)


def make_rules(**changed):
    sets = ConformalSets(0.9, ("a", "b"), (0.6, 0.3), (20, 20), (20, 20))
    rules = Rules(40, Calibrator("none", 1.0, (0.0, 0.0)), (0.5, 0.5), "", 0.05, 0.7, "", sets)
    return replace(rules, **changed)
