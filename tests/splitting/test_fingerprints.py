"""Fingerprints: the same patterns whatever the order of the electrodes."""

from dataclasses import replace

import numpy as np
from builders.arrays import make_events

from mea.splitting.fingerprints import N_KEPT, compute_fingerprint


def test_the_same_recording_has_the_same_patterns_whatever_the_order_of_its_electrodes():
    events = make_events(spikes_per_s=20.0, duration_s=20.0, rows=4, cols=4)
    assert np.bincount(events.electrode).sum() > N_KEPT
    order = np.random.default_rng(0).permutation(16)
    place = np.argsort(order)
    turned = replace(events, row=events.row[order], col=events.col[order], electrode=place[events.electrode])
    one, other = compute_fingerprint(events), compute_fingerprint(turned)
    np.testing.assert_array_equal(one.hashes, other.hashes)
    np.testing.assert_array_equal(one.start_s, other.start_s)
    assert 0.8 * N_KEPT < len(one.hashes) < 1.2 * N_KEPT
