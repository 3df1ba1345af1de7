"""The contrast against an independent method: a linear mixed model with random intercepts of batch and culture."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import spearmanr

from mea.statistics.contrast import ContrastSettings, average_cultures, contrast_classes

SETTINGS = ContrastSettings(permutations=2000, seed=0, confidence_level=0.95)
BATCHES, CULTURES, RECORDINGS, FEATURES = 8, 3, 3, 24


def simulate(seed=0):
    """Batches that hold both classes; effects from 0 to 1.5 standard deviations of a culture."""
    random = np.random.default_rng(seed)
    rows, values = [], []
    effects = np.linspace(0, 1.5, FEATURES)
    for batch in range(BATCHES):
        of_batch = random.normal(0, 1, FEATURES)
        for label in "ab":
            for culture in range(CULTURES):
                of_culture = random.normal(0, 1, FEATURES)
                for recording in range(RECORDINGS):
                    name = f"{batch}{label}{culture}"
                    rows.append((f"{name}_{recording}", label, name, f"b{batch}"))
                    values.append(effects * (label == "b") + of_batch + of_culture + random.normal(0, 0.5, FEATURES))
    return np.array(values), pd.DataFrame(rows, columns=["recording", "label", "culture", "batch"])


def fit_mixed_model(values, recordings):
    """The fixed effect of class b and its two-sided p-value (Wald)."""
    table = recordings.assign(value=values)
    model = smf.mixedlm("value ~ label", table, groups="batch", vc_formula={"culture": "0 + C(culture)"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the optimiser, near a variance of 0
        fit = model.fit(reml=True)
    return fit.params["label[T.b]"], fit.pvalues["label[T.b]"]


def test_differences_and_p_values_are_those_of_a_mixed_model():
    """In a balanced design the difference is the fixed effect itself; the p-values rank alike and decide alike."""
    values, recordings = simulate()
    found = contrast_classes(*average_cultures(values, recordings), [f"f{k}" for k in range(FEATURES)], SETTINGS)
    effect, p_value = np.array([fit_mixed_model(column, recordings) for column in values.T]).T
    assert found["difference"].to_numpy() == pytest.approx(effect, abs=1e-6)
    ours = found["p_value"].to_numpy()
    assert spearmanr(ours, p_value).statistic > 0.95
    clear = (p_value < 0.01) | (p_value > 0.1)
    assert clear.sum() > FEATURES / 2 and ((ours < 0.05) == (p_value < 0.05))[clear].all()
