"""One training on two processes, joined over loopback, against one process; and what can be wrong with that."""

import itertools
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_stages import array, run_stage  # noqa: F401 - a fixture
from test_training import SCHEDULE, Interrupted, fit, lab, plan, sides, train  # noqa: F401 - fixtures

from mea.models.cnn_lstm import CnnLstmNetwork
from mea.networks.chunks import DescribedChunks, EpochShuffle
from mea.networks.processes import BatchShare, check_processes
from mea.networks.recipes import Recipe
from mea.networks.training import train_network
from mea.runtime.command import run_command
from mea.runtime.errors import MeaError
from mea.runtime.files import read_json
from mea.runtime.parallel import count_processes
from mea.training.fitting import count_trainers
from mea.training.folds import describe_training
from mea.training.networks import fold_file, load_processes
from stages.unzip import Params, unzip

pytestmark = pytest.mark.usefixtures("alone")
UNEVEN = 3  # of 8 chunks: batches of 3, 3 and 2, which two processes share as 2 + 1, 2 + 1, 1 + 1


def assert_alike(one, other, tolerance=1e-5):
    """The same weights and curves up to rounding."""
    for name, values in one[0].items():
        torch.testing.assert_close(values, other[0][name], rtol=tolerance, atol=tolerance)
    assert one[1].to_numpy() == pytest.approx(other[1].to_numpy(), rel=tolerance, abs=tolerance)


def test_two_processes_train_as_one_does(sides, monkeypatch, tmp_path):  # noqa: F811
    """Weights, losses and accuracies, with batches that cannot be halved, and a last one with one chunk only."""
    one = train(sides, batch_size=7)
    monkeypatch.setenv("MEA_PROCESSES", "2")
    two = train(sides, tmp_path, batch_size=7)
    assert one[1].attrs["processes"] == [1] * 5 and two[1].attrs["processes"] == [2] * 5
    assert_alike(two, one)
    assert two[1]["validation_accuracy"].tolist() == pytest.approx(one[1]["validation_accuracy"].tolist(), abs=1e-12)
    assert not list(tmp_path.glob("processes-*"))


@pytest.mark.slow
def test_two_processes_share_bags_as_one_does(sides, monkeypatch):  # noqa: F811
    """Bags stay whole, and the validation is that of recordings, whose chunks stand in both processes."""
    recipe = Recipe(bag=3, bags=1.5, smoothing=0.05, weight_decay=0.1, cosine=True)

    def train_bags():
        torch.manual_seed(0)
        return train_network(
            CnnLstmNetwork(12, 12, 2, "transpose"), *sides, replace(SCHEDULE, batch_size=7), recipe=recipe
        )

    one = train_bags()
    monkeypatch.setenv("MEA_PROCESSES", "2")
    assert_alike(train_bags(), one)


class Describer(torch.nn.Module):
    """Takes chunks pooled to a list with one part."""

    def __init__(self):
        super().__init__()
        self.network = CnnLstmNetwork(12, 12, 5, "transpose")

    def forward(self, parts):
        return self.network(parts[0])


def keep_whole(chunks):
    return (chunks,)


@pytest.mark.slow
def test_two_processes_learn_to_describe_as_one_does(sides, monkeypatch):  # noqa: F811
    """Features that are not defined for a chunk weigh nothing, in whichever process it is."""
    shown = sides[0]
    targets = torch.randn(len(shown), 5, generator=torch.Generator().manual_seed(0))
    targets[::3, :4] = torch.nan

    def train_describer():
        torch.manual_seed(0)
        described = DescribedChunks(shown, keep_whole, targets)
        recipe = Recipe(describes=True)
        schedule = replace(SCHEDULE, batch_size=UNEVEN)
        return train_network(Describer(), described, None, schedule, recipe=recipe)

    one = train_describer()
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # for the describer, which is of this file
    monkeypatch.setenv("MEA_PROCESSES", "2")
    two = train_describer()
    assert_alike((two[0], two[1][["train_loss"]]), (one[0], one[1][["train_loss"]]), tolerance=1e-4)
    assert one[1]["train_loss"].iloc[-1] < one[1]["train_loss"].iloc[0]


@pytest.mark.slow
def test_the_train_stage_starts_the_processes_itself(array, monkeypatch, tmp_path):  # noqa: F811
    """The same command; the metrics are the same up to rounding, and say how many processes made them."""
    metrics = {}
    for count in (1, 2):
        monkeypatch.setenv("MEA_PROCESSES", str(count))
        folder = tmp_path / str(count)
        for stage in ("split", "train"):
            run_stage(stage, folder, array, "split.score=[0, 2]")
        metrics[count] = read_json(folder / "metrics/train.json")
        assert metrics[count].pop("processes") == count
        assert read_json(folder / "models/folds/classifier.json")["facts"]["processes"] == count
        assert (folder / "plots/train/live/fold_2/plots/metrics/validation_loss.tsv").is_file()
    for part in ("mean", "fold_0", "fold_2"):
        assert metrics[2][part] == pytest.approx(metrics[1][part], rel=1e-5)


def test_two_processes_go_on_from_the_checkpoint_of_one(sides, monkeypatch, tmp_path):  # noqa: F811
    whole = train(sides, batch_size=UNEVEN)
    with pytest.raises(OSError, match="power cut"):
        train(sides, tmp_path, training=Interrupted(sides[0], 8 * 2 + 5), batch_size=UNEVEN)
    monkeypatch.setenv("MEA_PROCESSES", "2")
    resumed = train(sides, tmp_path, batch_size=UNEVEN)
    assert resumed[1].attrs["processes"] == [1, 1, 2, 2, 2]
    assert_alike(resumed, whole)


def test_the_model_says_how_many_processes_trained_it(lab, monkeypatch, tmp_path):  # noqa: F811
    """A network that several numbers of processes made is kept for nobody, one that two made for two alone."""
    cache = tmp_path / "cache"

    def describe(folder):
        split = {"leaky": 0, "warning": "", "params": {"split": {"chunk_s": 1.0, "first_s": None}}}
        return describe_training(folder, plan(lab, folder), split).facts["processes"]

    fit(lab, tmp_path / "one", epochs=1)
    assert describe(tmp_path / "one") == 1 and len(list(cache.rglob("*.safetensors"))) == 1
    monkeypatch.setenv("MEA_PROCESSES", "2")
    assert count_trainers() == 1
    fit(lab, tmp_path / "two", epochs=1)
    assert describe(tmp_path / "two") == 2 and load_processes(tmp_path / "two" / fold_file(0)) == [2]
    assert len(list(cache.rglob("*.safetensors"))) == 2
    (tmp_path / "both").mkdir()
    for name in ("one", "two"):
        (tmp_path / name / fold_file(0)).rename(tmp_path / "both" / f"{name}.safetensors")
    assert describe(tmp_path / "both") == "1, 2"


def test_what_another_number_of_processes_began_is_kept_for_nobody(lab, monkeypatch, tmp_path):  # noqa: F811
    """One process is cut off before it kept its network; two find nothing left to do, and have made none of it."""

    def fail(*_args):
        raise OSError("power cut")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="power cut"):
        patch.setattr("mea.training.networks.save_fold", fail)
        fit(lab, tmp_path / "out", epochs=1)
    monkeypatch.setenv("MEA_PROCESSES", "2")
    fit(lab, tmp_path / "out", epochs=1)
    assert load_processes(tmp_path / "out" / fold_file(0)) == [1]
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


def try_torchrun(monkeypatch, sides, command):  # noqa: F811
    monkeypatch.setenv("MEA_PROCESSES", "2")
    monkeypatch.setenv("MEA_TORCHRUN", command)
    return train(sides, epochs=1)


def test_a_command_that_is_not_there(sides, monkeypatch):  # noqa: F811
    with pytest.raises(MeaError, match=r"MEA_TORCHRUN = no-such-torchrun -x: cannot be started .*Mend it, or unset it"):
        try_torchrun(monkeypatch, sides, "no-such-torchrun -x")


def test_a_command_that_fails(sides, monkeypatch):  # noqa: F811
    with pytest.raises(MeaError, match="training: its 2 processes ended with status 3; what they said stands above"):
        try_torchrun(monkeypatch, sides, shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))


def test_a_command_that_starts_another_number(sides, monkeypatch):  # noqa: F811
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    with pytest.raises(MeaError, match=r"MEA_TORCHRUN started 1 processes, but MEA_PROCESSES = 2\. Make the two agree"):
        try_torchrun(monkeypatch, sides, shlex.join(command))
