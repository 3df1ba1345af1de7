"""From the probabilities of chunks to those of their recordings."""

import numpy as np
from builders.splits import make_folded_chunks

from mea.splitting.aggregation import (
    add_predictions,
    aggregate_recordings,
    average_recordings,
    get_probabilities,
    summarise_chunks,
)

AB = ["a", "b"]


def test_a_recording_is_predicted_by_the_mean_of_its_chunks():
    """Two of three chunks say a, but the third is more confident: the mean says b, where counting heads would say a."""
    chunks = make_folded_chunks([("r2", "a", 0), ("r1", "b", 1), ("r1", "b", 1), ("r1", "b", 1)])
    p_a = np.array([0.7, 0.6, 0.6, 0.0])
    table = aggregate_recordings(add_predictions(chunks, np.column_stack([p_a, 1 - p_a]), AB), AB)
    columns = ["recording", "label", "culture", "batch", "fold", "predicted", "confidence", "p_a", "p_b"]
    assert list(table.columns) == columns
    assert table["recording"].tolist() == ["r1", "r2"] and table["fold"].tolist() == [1, 0]
    assert table["predicted"].tolist() == ["b", "a"]
    np.testing.assert_allclose(table[["confidence", "p_a", "p_b"]], [[0.6, 0.4, 0.6], [0.7, 0.7, 0.3]])
    assert table["culture"].tolist() == ["culture of r1", "culture of r2"]
    np.testing.assert_allclose(get_probabilities(table, AB), table[["p_a", "p_b"]])


def test_a_recording_scored_by_several_folds_says_so():
    chunks = make_folded_chunks([("r1", "a", 0), ("r1", "a", 1), ("r2", "b", 1), ("r2", "b", 1)])
    table = aggregate_recordings(add_predictions(chunks, np.full((4, 2), 0.5), AB), AB)
    assert table["fold"].tolist() == ["mixed", 1]


def test_mean_and_spread_of_what_describes_chunks():
    chunks = make_folded_chunks([("r2", "a", 0), ("r1", "b", 1), ("r1", "b", 1)])
    values = np.array([[5.0, 1.0], [1.0, 2.0], [3.0, 8.0]])
    names, found = summarise_chunks(chunks, values)
    assert names.tolist() == ["r1", "r2"]
    assert found.tolist() == [[2.0, 5.0, 1.0, 3.0], [5.0, 1.0, 0.0, 0.0]]
    means = average_recordings(chunks, values)
    assert means.tolist() == [[5.0, 1.0], [2.0, 5.0], [2.0, 5.0]]
    means[0, 0] = 7.0  # it may be written to
    assert values[0, 0] == 5.0
