"""Tables of recordings to split: by hand, in batches, and random ones for hypothesis."""

import warnings

import pandas as pd
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from mea.runtime.errors import MeaError
from mea.splitting.chunks import cut_chunks
from mea.splitting.folds import assign_folds

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def make_lab(lines, sampling_rate_hz=25_000, duration_s=4.8):
    """A table of recordings from (label, culture, batch), all of one length."""
    table = pd.DataFrame(lines, columns=["label", "culture", "batch"])
    table.insert(0, "recording", [f"r{number:02d}" for number in range(len(table))])
    return table.assign(sampling_rate_hz=sampling_rate_hz, duration_s=duration_s, pauses_s="")


def make_batches(batches=6, labels=("a", "b"), cultures=2):
    """Every batch holds so many cultures of each label, each recorded once."""
    return make_lab([(x, f"{x}{n}-{k}", f"b{n}") for n in range(batches) for x in labels for k in range(cultures)])


def cut(lab, chunk_s=1.2):
    return cut_chunks(lab, chunk_s, None)[0]


def fold_quietly(chunks, split_level, folds, seed=0):
    """Folds, or a rejected example where this lab cannot be split so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return assign_folds(chunks, split_level, folds, seed)
        except MeaError:
            assume(False)


@st.composite
def labs(draw):
    """Labs in which batches and cultures may be unknown, shared by two classes, or linked to one another."""
    n = draw(st.integers(4, 24))
    label = st.sampled_from(["a", "b", "c"][: draw(st.integers(2, 3))])
    culture = st.sampled_from([""] + [f"c{k}" for k in range(draw(st.integers(1, 12)))])
    batch = st.sampled_from([""] + [f"b{k}" for k in range(draw(st.integers(1, 8)))])
    return make_lab(draw(st.lists(st.tuples(label, culture, batch), min_size=n, max_size=n)))


def make_folded_chunks(lines):
    """Chunks from (recording, label, fold), in a culture and a batch of the recording's own."""
    table = pd.DataFrame(lines, columns=["recording", "label", "fold"])
    table["chunk"] = [f"{name}@{number:04d}" for number, name in enumerate(table["recording"])]
    return table.assign(culture="culture of " + table["recording"], batch="batch of " + table["recording"])
