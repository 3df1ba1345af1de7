"""Which metadata of recordings are looked at, as numbers."""

import numpy as np
import pandas as pd
from builders.metadata import make_catalogue, make_lab

from mea.evaluation.confounds import audit_confounds, explain_confounds, tabulate_metadata


def test_metadata_are_numbers_in_the_order_of_the_recordings():
    lab = make_lab(batches=4, cultures=2)
    catalogue = make_catalogue(lab, duration_s=np.arange(8.0), start=[f"2020-02-0{k + 1}T12:00:00" for k in range(8)])
    table = tabulate_metadata(catalogue[::-1], lab.iloc[[3, 0]])
    assert list(table.columns) == ["duration_s", "start"], "what is the same for all cannot tell anything"
    assert table["duration_s"].tolist() == [3.0, 0.0]
    days = (pd.Timestamp("2020-02-04T12:00:00") - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    assert table["start"].tolist() == [days, days - 3]


def test_unknown_metadata_count_as_one_more_value():
    """Whether a date is known may tell the class, too."""
    lab = make_lab(cultures=4)
    known = (lab["label"] == "a").to_numpy()
    table = tabulate_metadata(make_catalogue(lab, start=np.where(known, "2020-01-31T10:00:00", "")), lab)
    assert list(table.columns) == ["start"] and set(table["start"][~known]) == {-1.0}
    audit = audit_confounds(table, lab, 99, 0)
    assert audit["alarm"].tolist() == [True] and audit["balanced_accuracy"].tolist() == [1.0]


def test_what_is_unknown_for_all_is_not_looked_at():
    lab = make_lab()
    table = tabulate_metadata(make_catalogue(lab, start="", duration_s=np.nan), lab)
    assert list(table.columns) == []


def test_which_electrodes_are_off_tells_the_class():
    """As many are off in each class, so their number tells nothing: which they are does, also among others."""
    lab, random = make_lab(batches=8, cultures=6), np.random.default_rng(4)
    other = (lab["label"] == "b").to_numpy()
    on = np.ones((len(lab), 64), bool)
    on[np.arange(len(lab)), np.where(other, 3, 40)] = False
    for row in on:
        row[random.choice(np.arange(41, 64), 2, replace=False)] = False
    places = [np.packbits(row).tobytes().hex() for row in on]
    table = tabulate_metadata(make_catalogue(lab, places=places, electrodes=on.sum(1)), lab)
    assert 2 <= len(table.columns) <= 25 and all(name.startswith("places ") for name in table.columns)
    audit = audit_confounds(table, lab, 199, 0)
    assert audit["metadata"].tolist() == ["places"] and audit["alarm"].all() and audit["balanced_accuracy"][0] == 1.0
    assert "from which electrodes recorded (100 %)" in explain_confounds(audit, lab)[0]
    at_random = [np.packbits(row).tobytes().hex() for row in random.permutation(on)]
    assert not audit_confounds(tabulate_metadata(make_catalogue(lab, places=at_random), lab), lab, 199, 0)[
        "alarm"
    ].any()


def test_places_of_spike_times_and_of_two_grids_are_not_compared():
    """What spike times lack is silent, which is signal; bits of two grids mean other places."""
    lab = make_lab()
    assert list(tabulate_metadata(make_catalogue(lab, places=""), lab).columns) == []
    other = np.where(lab["label"] == "b", "f0", "f0f0")
    assert list(tabulate_metadata(make_catalogue(lab, places=other), lab).columns) == []
