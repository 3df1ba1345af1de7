"""Random convolutions: shares against a plain loop, and what they must not see."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from builders.arrays import describe_events, make_events

from mea.models import rocket
from mea.models.params import ModelParams
from mea.models.rocket import DILATIONS, GROUPS, KERNELS, LENGTH, RocketModel, compute_chunks, convolve_channels
from mea.models.spec import ModelSpec
from mea.networks.channels import POPULATION
from mea.splitting.chunks import cut_chunks

pytestmark = pytest.mark.usefixtures("alone")
MODEL = RocketModel(ModelSpec(["a", "b"], 4, 4, ModelParams()))


def test_fractions_are_those_of_a_plain_loop():
    """The first dilation's kernels, drawn again here, slid over the signal one bin after the other."""
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(2, len(POPULATION), 50)).astype(np.float32))
    found = convolve_channels(values)
    generator = torch.Generator().manual_seed(rocket.SEED)
    kernels = torch.randn(GROUPS * KERNELS, 1, LENGTH, generator=generator).numpy()[:, 0].reshape(GROUPS, KERNELS, -1)
    kernels = kernels - kernels.mean(2, keepdims=True)
    pairs = torch.randint(len(POPULATION), (2, GROUPS), generator=generator).numpy()
    for chunk in range(2):
        signal = values[chunk].numpy()
        signal = (signal - signal.mean(1, keepdims=True)) / signal.std(1, keepdims=True)
        for group in range(GROUPS):
            mixed = np.pad(signal[pairs[0, group]] + signal[pairs[1, group]], LENGTH // 2)
            fits = np.array([kernels[group] @ mixed[k : k + LENGTH] for k in range(50)])  # (bins, kernels)
            wins = np.bincount(fits.argmax(1), minlength=KERNELS) / 50
            np.testing.assert_allclose(found[chunk, group * KERNELS : (group + 1) * KERNELS] ** 2, wins, atol=0.021)


def test_every_group_shares_out_all_bins():
    values = torch.from_numpy(np.random.default_rng(1).normal(size=(3, len(POPULATION), 300)).astype(np.float32))
    found = convolve_channels(values)
    n_shapes = 4 * len(DILATIONS) * GROUPS * KERNELS
    np.testing.assert_allclose((found[:, :n_shapes] ** 2).reshape(3, -1, KERNELS).sum(2), 1, atol=1e-5)
    np.testing.assert_allclose(found[:, n_shapes : n_shapes + len(POPULATION)], values.mean(2), atol=1e-6)
    assert len(MODEL.name_families(False)) == len(set(MODEL.name_recording_features(False))) == found.shape[1] == 1580


def test_silence_is_defined():
    assert np.isfinite(convolve_channels(torch.zeros(1, len(POPULATION), 300))).all()


def look(events):
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 2.0, None)
    one = {events.recording: events}
    (values,) = MODEL.summarise_recordings(chunks, one, MODEL.compute_features(chunks, one))
    return values


def test_a_recording_is_the_mean_over_its_chunks():
    events = make_events("r1", rows=4, cols=4, duration_s=12.0)
    chunks, _ = cut_chunks(pd.DataFrame([describe_events(events)]), 2.0, None)
    values = compute_chunks(chunks, {"r1": events})
    np.testing.assert_allclose(look(events), values.mean(0))


def test_neither_name_nor_order_of_electrodes_nor_place_on_the_grid():
    events = make_events("r1", rows=4, cols=4, duration_s=12.0)
    order = np.random.default_rng(0).permutation(16)
    number = np.argsort(order)
    renamed = replace(events, recording="other", start="2020-01-01T00:00:00")
    reordered = replace(events, row=events.row[order], col=events.col[order], electrode=number[events.electrode])
    turned = replace(events, row=events.col, col=3 - events.row)
    for changed in (renamed, reordered, turned):
        np.testing.assert_allclose(look(changed), look(events), atol=1e-6)
