"""All features: which families there are, and the name, unit and meaning of every column."""

from dataclasses import replace

import pandas as pd

from mea.features import (
    bursts,
    correlations,
    firing_rates,
    isi,
    network_burst_sequences,
    network_bursts,
    population,
    profiles,
    recruitment,
    return_maps,
    runs,
    synchrony,
    waveforms,
)
from mea.features.feature import Family, Feature

FAMILIES = (  # of any window, down to a few seconds
    isi.FAMILY,
    bursts.FAMILY,
    population.FAMILY,
    synchrony.FAMILY,
    correlations.FAMILY,
    network_bursts.FAMILY,
    firing_rates.FAMILY,
)
WAVEFORM_FAMILY = waveforms.FAMILY  # only where voltages were recorded
LONG_WINDOW_FAMILIES = (  # of windows of minutes: they need many bursts, or many intervals of each electrode
    profiles.FAMILY,
    recruitment.FAMILY,
    network_burst_sequences.FAMILY,
    return_maps.FAMILY,
    runs.FAMILY,
)
SUMMARIES = {
    "whole": "of the whole window",
    "mean": "mean over the chunks",
    "std": "standard deviation over the chunks",
}
LONG_WINDOW = "long_window"


def select_families(has_waveforms: bool) -> tuple[Family, ...]:
    """Families of :func:`mea.features.compute.compute_features`; recordings with voltages have one more."""
    return (*FAMILIES, WAVEFORM_FAMILY) if has_waveforms else FAMILIES


def list_features(has_waveforms: bool) -> list[str]:
    """Names of the columns of :func:`mea.features.compute.compute_features`.

    >>> list_features(has_waveforms=False)[:2]
    ['isi_pooled_fraction_1_to_2p4_ms', 'isi_pooled_fraction_2p4_to_5p6_ms']
    """
    return [feature.name for family in select_families(has_waveforms) for feature in family.features]


def list_families(has_waveforms: bool) -> list[str]:
    """Family of each feature, in the order of :func:`list_features`."""
    return [family.name for family in select_families(has_waveforms) for _ in family.features]


def list_long_window_features() -> list[str]:
    """Names of the columns of :func:`mea.features.compute.compute_long_window_features`."""
    return [feature.name for family in LONG_WINDOW_FAMILIES for feature in family.features]


def list_targets() -> list[str]:
    """Names of all features that any recording has: no waveform features, but the long-window features."""
    return list_features(has_waveforms=False) + list_long_window_features()


def list_summaries(has_waveforms: bool) -> list[str]:
    """Names of what :func:`mea.features.compute.summarise_recording` returns.

    >>> names = list_summaries(has_waveforms=False)
    >>> names[0], names[-1]
    ('whole_isi_pooled_fraction_1_to_2p4_ms', 'long_window_run_80_ms_log10_slowing')
    """
    return [feature.name for feature, _ in _summarise(has_waveforms)]


def list_summary_families(has_waveforms: bool) -> list[str]:
    """Family of each feature, in the order of :func:`list_summaries`."""
    return [family for _, family in _summarise(has_waveforms)]


def build_feature_table(has_waveforms: bool) -> pd.DataFrame:
    """What each column that the model sees means: one row per name of :func:`list_summaries`.

    Returns
    -------
    pd.DataFrame
        Columns ``name``, ``family``, ``unit`` and ``description``; row k describes column k.

    >>> column = build_feature_table(has_waveforms=False).loc[317]
    >>> print(column["name"], column["family"], column["unit"], column["description"], sep="\\n")
    mean_synchrony_50_ms_log10_fraction_above_10
    synchrony
    log10
    fraction of the bins in which at least 10 % of all electrodes are active, + 0.0001 (bins of 50 ms); mean over the
    chunks
    """
    rows = [
        {"name": feature.name, "family": family, "unit": feature.unit, "description": feature.description}
        for feature, family in _summarise(has_waveforms)
    ]
    return pd.DataFrame(rows)


def _summarise(has_waveforms: bool) -> list[tuple[Feature, str]]:
    """Each feature of a recording, and its family's name."""
    summaries = [
        (replace(feature, name=f"{name}_{feature.name}", description=f"{feature.description}; {words}"), family.name)
        for name, words in SUMMARIES.items()
        for family in select_families(has_waveforms)
        for feature in family.features
    ]
    long_window = [
        (replace(feature, name=f"{LONG_WINDOW}_{feature.name}"), family.name)
        for family in LONG_WINDOW_FAMILIES
        for feature in family.features
    ]
    return summaries + long_window
