"""From the probabilities of chunks to those of their recordings."""

import numpy as np
from builders.splits import make_folded_chunks

from mea.splitting.aggregation import add_predictions, aggregate_recordings, get_probabilities

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
