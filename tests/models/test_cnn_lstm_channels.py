"""The CNN-LSTM on channels of each electrode, from bags of chunks: what it sees, how it is augmented."""

import numpy as np
import pytest
import torch
from builders.arrays import make_events, plan_recordings
from builders.environment import work_alone
from builders.models import fit_lab, train_params, write_lab
from scipy.special import softmax

from mea.arrays.events_file import RecordingsOnDisk
from mea.models.cnn_lstm import SILENCED, ChannelCnnLstm, CnnLstmModel, augment
from mea.networks.channels import GridView
from mea.runtime.errors import MeaError
from mea.splitting.aggregation import average_chunks

pytestmark = pytest.mark.usefixtures("alone")

SETTINGS = {"input": "channels", "examples": "bags", "bin_ms": 50, "epochs": 12, "patience": 12, "batch_size": 8}
PARAMS = train_params("cnn_lstm", inner_folds=2, cnn_lstm=SETTINGS | {"learning_rate": 0.005})


def make_chunk(batch=3, rows=8, cols=8, steps=16, seed=0):
    """Random channels; three places without an electrode, where all channels are 0."""
    random = torch.Generator().manual_seed(seed)
    there = torch.ones(batch, 1, rows, cols, steps)
    there[:, :, 0, 0] = there[:, :, 0, 7] = there[:, :, 7, 0] = 0
    return torch.cat([torch.rand(batch, 11, rows, cols, steps, generator=random) * there, there], 1)


def make_network(augmented=True, seed=0):
    torch.manual_seed(seed)
    return ChannelCnnLstm(8, 8, 2, "transpose", augmented)


def test_it_is_the_predecessors_network_but_for_the_first_layers_inputs():
    network = make_network()
    shapes = {name: tuple(value.shape) for name, value in network.named_parameters()}
    assert shapes["conv1.weight"] == (16, 12, 3, 3, 3)
    assert shapes["conv2.weight"] == (32, 16, 3, 3, 3) and shapes["conv3.weight"] == (64, 32, 3, 3, 3)
    assert shapes["lstm.weight_ih_l0"] == (512, 64) and shapes["head.weight"] == (2, 128)


def test_places_without_an_electrode_are_the_mean_of_every_channel():
    network = make_network().eval()
    network.scale.running_mean.fill_(0.3)
    chunk = make_chunk()
    other = chunk.clone()
    other[:, :-1, 0, 0] = 5.0  # whatever stands where there is no electrode
    assert torch.equal(network(chunk), network(other))


def test_a_chunk_is_augmented_in_training_only():
    network, chunk = make_network(), make_chunk()
    network.eval()
    assert torch.equal(network(chunk), network(chunk))
    network.train()
    assert not torch.equal(network(chunk), network(chunk))
    plain = make_network(augmented=False).train()
    assert torch.equal(plain(chunk), plain(chunk))


def test_augmented_chunks_are_mirrored_and_some_electrodes_silenced():
    chunk = torch.arange(64.0).reshape(1, 1, 8, 8, 1).expand(400, 2, 8, 8, 5) + 1
    torch.manual_seed(0)
    seen, silenced = set(), []
    for _ in range(100):
        found = augment(chunk)
        kept = found != 0
        assert torch.equal(kept.all((1, 4)), kept.any((1, 4)))  # an electrode is silenced in all channels and times
        silenced.append(1 - kept.float().mean())
        whole = found.amax(0)[0, :, :, 0]  # each place is kept in some of 400 chunks
        assert sorted(whole.flatten().tolist()) == list(range(1, 65))
        seen.add(tuple(int(value) for value in (whole[0, 0], whole[0, 7], whole[7, 0])))
    assert len(seen) == 8  # the symmetries of a square
    assert np.mean(silenced) == pytest.approx(SILENCED, abs=0.005)


def test_a_grid_that_is_no_square_keeps_its_shape():
    chunk = torch.rand(2, 3, 8, 12, 4)
    torch.manual_seed(0)
    assert {augment(chunk).shape for _ in range(20)} == {chunk.shape}


def test_the_view_shows_channels_and_checks_bins_and_chunks():
    view = CnnLstmModel.make_view(PARAMS.of_model("cnn_lstm"))
    assert isinstance(view, GridView)
    events = make_events(seed=0)
    assert view.show(events, 0.0, 1.0).shape == (12, events.rows, events.cols, 20)
    with pytest.raises(MeaError, match="chunks of 8 bins"):
        view.show(events, 0.0, 0.3)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab whose class b fires more, and the classifier learned from it: folder, chunks, classifier."""
    folder = tmp_path_factory.mktemp("channels")
    with work_alone(folder):
        made = write_lab(folder, plan_recordings(batches=4, cultures=2), folds=2, duration_s=4.0, rows=8, cols=8)
        classifier, _ = fit_lab(made, folder / "folds", PARAMS, score=(0, 1))
    return folder, made[1], classifier


def test_a_fold_has_a_network_for_each_inner_fold_and_learns_what_there_is_to_learn(lab):
    folder, chunks, classifier = lab
    for fold in (0, 1):
        model = classifier.open_model(fold)
        assert len(model.networks) == 2 and not model.averages_chunks
        held_out = chunks[chunks["fold"] == fold]
        events = RecordingsOnDisk(folder / "array", held_out["recording"].unique())
        proba = model.predict_recordings(held_out, events)
        logits = average_chunks(held_out, model.compute_logits(held_out, events).numpy())
        assert proba == pytest.approx(softmax(logits.to_numpy(), axis=1))
        labels = held_out.groupby("recording")["label"].first().to_numpy()
        assert (np.array(["a", "b"])[proba.argmax(1)] == labels).all()


def test_out_of_fold_predictions_are_of_whole_recordings_by_networks_that_did_not_learn_from_them(lab):
    _, chunks, classifier = lab
    oof = classifier.load_oof(0)
    assert set(oof["recording"]) == set(chunks.loc[chunks["fold"] != 0, "recording"])
