"""One training on two processes, joined over loopback, against one process; and what can be wrong with that."""

import itertools
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders.arrays import write_array
from builders.models import make_split, plan_lab, train_params, write_lab
from builders.networks import CONFIG, Interrupted, make_sides, train
from builders.stages import run_stage

from mea.models.cnn_lstm import CnnLstmNetwork
from mea.networks.chunks import RegressionDataset
from mea.networks.devices import check_processes
from mea.networks.sampling import BatchShare, EpochShuffle
from mea.networks.tasks import Classification, FeatureRegression
from mea.networks.trained import list_processes
from mea.networks.training import train_network
from mea.runtime.command import run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.runtime.parallel import count_processes
from mea.training.fitting import count_trainers, fit_fold
from mea.training.folds import build_classifier
from stages.unzip import Params, unzip

pytestmark = pytest.mark.usefixtures("alone")
QUICK = train_params("cnn_lstm", inner_folds=2, cnn_lstm={"bin_ms": 25, "epochs": 1, "silence": "computed"})
NETWORK = "fold_0/cnn_lstm/network_0.safetensors"
UNEVEN = 3  # of 8 chunks: batches of 3, 3 and 2, which two processes share as 2 + 1, 2 + 1, 1 + 1


@pytest.fixture(scope="module")
def sides():
    return make_sides()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Twelve recordings and their chunks with folds."""
    return write_lab(tmp_path_factory.mktemp("lab"), duration_s=2.0)


def fit_network(lab, folder):
    """Fit fold 0."""
    (job,) = plan_lab(lab, folder, QUICK)
    return fit_fold(job)


def assert_alike(one, other, tolerance=1e-5):
    """The same weights and curves up to rounding."""
    for name, values in one.weights.items():
        torch.testing.assert_close(values, other.weights[name], rtol=tolerance, atol=tolerance)
    assert one.curves.to_numpy() == pytest.approx(other.curves.to_numpy(), rel=tolerance, abs=tolerance)


@pytest.mark.slow
def test_two_processes_train_as_one_does(sides, monkeypatch, tmp_path):
    """Weights, losses and accuracies, with batches that cannot be halved, and a last one with one chunk only."""
    one = train(sides, batch_size=7)
    monkeypatch.setenv("MEA_PROCESSES", "2")
    two = train(sides, tmp_path, batch_size=7)
    assert one.curves.attrs["processes"] == [1] * 5 and two.curves.attrs["processes"] == [2] * 5
    assert_alike(two, one)
    assert two.curves["validation_accuracy"].tolist() == pytest.approx(
        one.curves["validation_accuracy"].tolist(), abs=1e-12
    )
    assert not list(tmp_path.glob("processes-*"))


@pytest.mark.slow
def test_two_processes_share_bags_as_one_does(sides, monkeypatch):
    """Bags stay whole, and the validation is that of recordings, whose chunks stand in both processes."""
    task = Classification(label_smoothing=0.05, bag_size=3, bags_per_recording=1.5)

    def train_bags():
        return train(sides, task=task, batch_size=7, weight_decay=0.1, lr_schedule="cosine")

    one = train_bags()
    monkeypatch.setenv("MEA_PROCESSES", "2")
    assert_alike(train_bags(), one)


class Regressor(torch.nn.Module):
    """Takes chunks pooled to a list with one part."""

    def __init__(self):
        super().__init__()
        self.network = CnnLstmNetwork(12, 12, 5, "transpose")

    def forward(self, parts):
        return self.network(parts[0])


def keep_whole(chunks):
    return (chunks,)


@pytest.mark.slow
def test_two_processes_regress_features_as_one_does(sides, monkeypatch):
    """Features that are not defined for a chunk weigh nothing, in whichever process it is."""
    shown = sides[0]
    targets = torch.randn(len(shown), 5, generator=torch.Generator().manual_seed(0))
    targets[::3, :4] = torch.nan

    def train_regressor():
        torch.manual_seed(0)
        dataset = RegressionDataset(shown, keep_whole, targets)
        return train_network(Regressor(), FeatureRegression(), dataset, None, replace(CONFIG, batch_size=UNEVEN))

    one = train_regressor()
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (here, here.parent))))  # for this file's regressor
    monkeypatch.setenv("MEA_PROCESSES", "2")
    two = train_regressor()
    kept = ["epoch", "train_loss"]
    assert_alike(*(replace(trained, curves=trained.curves[kept]) for trained in (two, one)), tolerance=1e-4)
    assert one.curves["train_loss"].iloc[-1] < one.curves["train_loss"].iloc[0]


@pytest.mark.slow
def test_the_train_stage_starts_the_processes_itself(monkeypatch, tmp_path):
    """The same command; the metrics are the same up to rounding, and say how many processes made them."""
    array, metrics = tmp_path / "array", {}
    write_array(array, duration_s=2.5)
    for count in (1, 2):
        monkeypatch.setenv("MEA_PROCESSES", str(count))
        folder = tmp_path / str(count)
        for stage in ("split", "train"):
            run_stage(stage, folder, array, "split.score=[0, 2]")
        metrics[count] = read_json(folder / "metrics/train/cnn_lstm.json")
        assert metrics[count].pop("processes") == count
        assert read_json(folder / "models/folds/cnn_lstm/classifier.json")["facts"]["processes"] == count
        assert (folder / "plots/train/cnn_lstm/live/fold_2/plots/metrics/validation_loss.tsv").is_file()
    for part in ("mean", "fold_0", "fold_2"):
        assert metrics[2][part] == pytest.approx(metrics[1][part], rel=1e-5)


@pytest.mark.slow
def test_two_processes_go_on_from_the_checkpoint_of_one(sides, monkeypatch, tmp_path):
    whole = train(sides, batch_size=UNEVEN)
    with pytest.raises(OSError, match="power cut"):
        train(sides, tmp_path, training=Interrupted(sides[0], 8 * 2 + 5), batch_size=UNEVEN)
    monkeypatch.setenv("MEA_PROCESSES", "2")
    resumed = train(sides, tmp_path, batch_size=UNEVEN)
    assert resumed.curves.attrs["processes"] == [1, 1, 2, 2, 2]
    assert_alike(resumed, whole)


@pytest.mark.slow
def test_the_model_says_how_many_processes_trained_it(lab, monkeypatch, tmp_path):
    """A network that several numbers of processes made is kept for nobody, one that two made for two alone."""
    cache = tmp_path / "cache"

    def read_facts(folder):
        return build_classifier(folder, plan_lab(lab, folder, QUICK), make_split(QUICK)).facts["processes"]

    fit_network(lab, tmp_path / "one")
    assert read_facts(tmp_path / "one") == 1 and len(list(cache.rglob("*.safetensors"))) == 1
    monkeypatch.setenv("MEA_PROCESSES", "2")
    assert count_trainers("cnn_lstm") == 1
    fit_network(lab, tmp_path / "two")
    assert read_facts(tmp_path / "two") == 2 and list_processes(tmp_path / "two") == [2]
    assert len(list(cache.rglob("*.safetensors"))) == 2
    (tmp_path / "both").mkdir()
    for name in ("one", "two"):
        (tmp_path / name / NETWORK).rename(tmp_path / "both" / f"{name}.safetensors")
    assert read_facts(tmp_path / "both") == "1, 2"


@pytest.mark.slow
def test_what_another_number_of_processes_began_is_kept_for_nobody(lab, monkeypatch, tmp_path):
    """One process is cut off before it kept its network; two find nothing left to do, and have made none of it."""

    def fail(*_args):
        raise OSError("power cut")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="power cut"):
        patch.setattr("mea.networks.trained.save_network", fail)
        fit_network(lab, tmp_path / "out")
    monkeypatch.setenv("MEA_PROCESSES", "2")
    fit_network(lab, tmp_path / "out")
    assert list_processes(tmp_path / "out") == [1]
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize(("length", "unit", "world"), [(8, 1, 2), (7, 1, 3), (9, 3, 2), (1, 1, 2), (12, 2, 4)])
def test_shares_make_up_the_batches(length, unit, world):
    def cut(rank, of):
        share = BatchShare(EpochShuffle(length, 0), 4, unit)
        share.rank, share.world = rank, of
        return share, list(share)

    _, whole = cut(0, 1)
    parts = [cut(rank, world) for rank in range(world)]
    assert sorted(chunk for batch in whole for chunk in batch) == list(range(length))
    for number, batch in enumerate(whole):
        units = [batch[first : first + unit] for first in range(0, len(batch), unit)]
        for rank, (share, batches) in enumerate(parts):
            assert len(share) == len(whole) == len(batches) and share.count(number) == len(units)
            assert share.count_own(number) == len(units[rank::world])
            assert batches[number] == list(itertools.chain(*(units[rank::world] or units[:1])))


# --- what can be wrong -----------------------------------------------------------------------------------------------


def test_number_of_processes(monkeypatch):
    assert count_processes() == 1
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("MEA_PROCESSES", wrong)
        with pytest.raises(MeaError, match=f"MEA_PROCESSES = '{wrong}': must be a whole number, at least 1"):
            count_processes()
    monkeypatch.setenv("MEA_PROCESSES", "1")
    monkeypatch.setenv("MEA_TORCHRUN", "torchrun")
    with pytest.raises(MeaError, match="MEA_TORCHRUN is set, but MEA_PROCESSES is not"):
        count_processes()


def test_what_cannot_be_shared(monkeypatch):
    monkeypatch.setenv("MEA_PROCESSES", "1000")
    with pytest.raises(MeaError, match="MEA_PROCESSES = 1000: a training step has only 8 chunks or bags of chunks"):
        check_processes("cpu", 8)
    with pytest.raises(MeaError, match="MEA_PROCESSES = 1000: mps trains in one process only"):
        check_processes("mps", 1000)
    with pytest.raises(MeaError, match=r"MEA_PROCESSES = 1000: there are \d+ graphics cards here, and each takes one"):
        check_processes("cuda", 1000)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_a_stage_started_several_times(monkeypatch, capsys, tmp_path, name):
    monkeypatch.setenv(name, "4")
    with pytest.raises(SystemExit, match=f"unzip: {name} = 4: the stage was started 4 times, but it starts its"):
        run_command(unzip, Params, ["--source", str(tmp_path)], source="", out=str(tmp_path / "out"))


def try_torchrun(monkeypatch, sides, command):
    monkeypatch.setenv("MEA_PROCESSES", "2")
    monkeypatch.setenv("MEA_TORCHRUN", command)
    return train(sides, epochs=1)


def test_a_command_that_is_not_there(sides, monkeypatch):
    with pytest.raises(
        MeaError, match=r"MEA_TORCHRUN = no-such-torchrun -x: cannot be started .*Correct it, or unset it"
    ):
        try_torchrun(monkeypatch, sides, "no-such-torchrun -x")


def test_a_command_that_fails(sides, monkeypatch):
    with pytest.raises(MeaError, match="training: its 2 processes ended with status 3; what they said stands above"):
        try_torchrun(monkeypatch, sides, shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))


@pytest.mark.slow
def test_a_command_that_starts_another_number(sides, monkeypatch):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    with pytest.raises(MeaError, match=r"MEA_TORCHRUN started 1 processes, but MEA_PROCESSES = 2\. Make the two agree"):
        try_torchrun(monkeypatch, sides, shlex.join(command))
