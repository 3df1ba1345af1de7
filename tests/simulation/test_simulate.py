"""The files of simulated recordings, and the stage that writes them."""

import csv
import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import McsPy.McsData as vendor
import numpy as np
import pytest

from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.layouts import electrode_labels
from mea.runtime.errors import MeaError
from mea.runtime.params import read_section
from mea.simulation.plans import LABELS, ODD, plan_new, plan_training
from mea.simulation.simulate import list_channels, simulate_counts, simulate_spikes, write_simulated
from stages.simulate import Params, work

VALUES: dict[str, Any] = {
    "seed": 3,
    "batches": 2,
    "cultures_per_label": 1,
    "recordings_per_culture": 1,
    "duration_s": 0.4,
    "class_effect": 1.0,
    "recording_variance": 1.0,
}


def plan_one(**changes):
    return replace(plan_training(5, 1, 1, 1, class_effect=1.0, recording_variance=1.0)[0], **changes)


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("simulate") / "out"
    work(Params(**VALUES), out)
    return out


def hash_folder(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_vendors_reader_reads_the_same_values(tmp_path):
    plan = plan_one()
    write_simulated(tmp_path / "one.h5", plan, 0.3)
    counts, adc_zero, factor = simulate_counts(plan, 0.3)
    expected = dict(zip(list_channels(plan.layout), (counts - adc_zero[:, None]) * factor[:, None] * 1e-12))
    file = vendor.RawData(str(tmp_path / "one.h5"))  # it closes the file when it is collected
    (stream,) = [one for one in file.recordings[0].analog_streams.values() if one.data_subtype == "Electrode"]
    assert len(stream.channel_infos) == 120
    for number, info in stream.channel_infos.items():
        values, unit = stream.get_channel_in_range(number, 0, 7499)
        assert str(unit) == "volt"
        assert float(info.sampling_frequency.magnitude) == pytest.approx(25_000)
        np.testing.assert_allclose(values, expected[info.info["Label"]], rtol=1e-12, atol=0)


def test_our_reader_reads_the_same_values(tmp_path):
    plan = plan_one()
    write_simulated(tmp_path / "one.h5", plan, 0.1)
    counts, adc_zero, factor = simulate_counts(plan, 0.1)
    (source,) = read_raw_recordings(tmp_path / "one.h5", "raw")
    order = [list_channels(plan.layout).index(name) for name in source.names]
    places = electrode_labels(plan.layout)
    np.testing.assert_array_equal(read_counts(tmp_path / "one.h5", source), counts[order])
    np.testing.assert_array_equal(source.adc_zero, adc_zero[order])
    np.testing.assert_allclose(source.gain_v, factor[order] * 1e-12, rtol=1e-15)
    assert list(zip(source.row, source.col)) == [places[name] for name in source.names]
    assert (source.sampling_rate_hz, source.n_samples, source.start[:19]) == (25_000, 2500, plan.start)


def test_the_electrodes_stream_is_not_always_the_first(tmp_path):
    positions = set()
    for plan in plan_training(1, 4, 1, 1, class_effect=1.0, recording_variance=1.0):
        write_simulated(tmp_path / "one.h5", replace(plan, layout="60MEA200/30iR-Ti"), 0.1)
        with h5py.File(tmp_path / "one.h5") as h5:
            streams = h5["Data/Recording_0/AnalogStream"]
            kinds = [streams[f"Stream_{number}"].attrs["DataSubType"] for number in range(len(streams))]
        assert kinds.count(b"Electrode") == 1
        positions.add(kinds.index(b"Electrode"))
    assert len(positions) > 1


def test_same_seed_gives_the_same_bytes_whatever_the_workers(output, tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_WORKERS", "1")
    work(Params(**VALUES), tmp_path / "again")
    assert hash_folder(tmp_path / "again") == hash_folder(output)


def test_another_seed_gives_other_recordings():
    one, other = (replace(plan_one(), seed=seed) for seed in (1, 2))
    assert not np.array_equal(simulate_counts(one, 0.1)[0], simulate_counts(other, 0.1)[0])


def test_archives_hold_what_the_table_lists(output):
    with (output / "train" / "recordings.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    archives = sorted((output / "train").glob("*.zip"))
    members = {}
    for archive in archives:
        with zipfile.ZipFile(archive) as content:
            assert content.testzip() is None
            assert {info.compress_type for info in content.infolist()} == {zipfile.ZIP_STORED}
            for info in content.infolist():  # the recording's time, not that of writing; zip counts in 2 s
                age = datetime.strptime(info.filename[:19], "%Y-%m-%dT%H-%M-%S") - datetime(*info.date_time)
                assert timedelta(0) <= age < timedelta(seconds=2)
            members |= {Path(name).stem: archive.stem for name in content.namelist()}
    assert {row["recording"]: f"batch_{row['batch']}" for row in rows} == members
    assert len(rows) == len(members) == 4
    assert list(rows[0]) == ["recording", "label", "culture", "batch"]
    for row in rows:
        assert [label for label in LABELS if label in row["recording"]] == [row["label"]]
    for archive in archives:
        assert {row["label"] for row in rows if archive.stem.endswith(row["batch"])} == set(LABELS)
    assert {file.suffix for file in (output / "train").iterdir()} == {".zip", ".csv"}


def test_new_recordings_are_two_plain_ones_and_one_of_each_oddity(output, tmp_path):
    new = output / "new"
    (archive,) = new.glob("*.zip")
    with zipfile.ZipFile(archive) as content:
        assert sorted(label for name in content.namelist() for label in LABELS if label in name) == sorted(LABELS)
    odd = {file.stem.rsplit("_", 1)[1]: file for file in new.glob("*.h5")}
    assert sorted(odd) == sorted(ODD) == ["dead", "half", "noise", "silent", "slow", "small", "truncated"]
    with pytest.raises(OSError, match="truncated"):
        h5py.File(odd.pop("truncated"))
    usual = (120, 10_000, 40)
    expected = dict.fromkeys(odd, usual) | {"slow": (120, 4000, 100), "small": (60, 10_000, 40)}
    assert {name: read_electrodes(file) for name, file in odd.items()} == expected


def read_electrodes(path: Path) -> tuple[int, int, int]:
    with h5py.File(path) as h5:
        streams = h5["Data/Recording_0/AnalogStream"].values()
        (stream,) = [stream for stream in streams if stream.attrs["DataSubType"] == b"Electrode"]
        return *stream["ChannelData"].shape, int(stream["InfoChannel"]["Tick"][0])


def test_a_dead_culture_fires_nothing():
    plan = plan_new(3, 2, class_effect=1.0, recording_variance=1.0)["noise"]
    assert len(simulate_spikes(plan, 10.0)[1].time_s) == 0


def test_at_half_the_gain_all_voltages_are_half_and_the_file_does_not_know():
    (counts, adc_zero, factor), (half, same_zero, same_factor) = (
        simulate_counts(plan_one(gain=gain), 0.4) for gain in (1.0, 0.5)
    )
    np.testing.assert_array_equal(adc_zero, same_zero)
    np.testing.assert_array_equal(factor, same_factor)
    assert (
        np.abs((counts - adc_zero[:, None]) / 2 - (half - adc_zero[:, None])).max() <= 0.75
    )  # each is rounded to a count


@pytest.mark.parametrize(("share", "many"), [(0.0, 0), (1 / 3, 40), (1.0, 120)])
def test_dead_electrodes_measure_nothing_and_the_others_go_on(share, many):
    counts, adc_zero, _ = simulate_counts(plan_one(dead_fraction=share), 0.2)
    flat = (counts == adc_zero[:, None]).all(axis=1)
    assert flat.sum() == many
    assert (counts[~flat].std(axis=1) > 3).all()


def test_new_recordings_are_of_no_training_batch():
    training = {plan.batch for plan in plan_training(3, 2, 1, 1, class_effect=1.0, recording_variance=1.0)}
    new = plan_new(3, 2, class_effect=1.0, recording_variance=1.0)
    assert not training & {plan.batch for plan in new.values()}
    assert len({plan.recording for plan in new.values()}) == len({plan.culture for plan in new.values()}) == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_effect": -1}, r"params.yaml: simulate.class_effect = -1: .*greater than or equal to 0"),
        ({"duration_s": 0.01}, r"simulate.duration_s = 0.01: .*greater than or equal to 0.1"),
        ({"batches": 0}, r"simulate.batches = 0: .*greater than or equal to 1"),
        ({"recording_variance": "much"}, r"simulate.recording_variance = 'much': .*valid number"),
        ({"speed": 1}, r"simulate.speed: no such parameter; simulate knows seed, batches"),
    ],
)
def test_bad_parameters_are_named(change, message):
    with pytest.raises(MeaError, match=message):
        read_section(Params, "simulate", VALUES | change, "params.yaml")


def test_command_writes_the_folders_and_says_where(tmp_path):
    params = tmp_path / "params.yaml"
    lines = "".join(f"  {name}: {value}\n" for name, value in (VALUES | {"batches": 1, "duration_s": 0.1}).items())
    params.write_text("simulate:\n" + lines)
    command = [sys.executable, "-m", "stages.simulate", "--params", str(params), "--out", str(tmp_path / "out")]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert f"2 recordings in {tmp_path / 'out' / 'train'}" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "params.yaml"]
    refused = subprocess.run([*command, "--set", "simulate.batches=0"], cwd=root, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "simulate.batches = 0" in refused.stderr
    assert "Traceback" not in refused.stderr
