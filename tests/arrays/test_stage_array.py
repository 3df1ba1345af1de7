"""The array stage's command, as a user runs it, on tiny recordings in the rigs' own formats."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import predecessor
from builders.recordings import write_small_mcs, write_small_spike_times
from builders.stage_inputs import PARAMS, add_recording, list_bytes

from mea.arrays.detection import SpikeDetection, choose_shown
from mea.arrays.drawing import draw_recording
from mea.arrays.events_file import load_events
from mea.recordings.layouts import RIG_ROW_ORDER
from mea.recordings.recording import read_recording, write_recording
from mea.runtime.command import run_command
from mea.runtime.errors import BadRecording
from mea.runtime.files import write_json
from stages.array import Params, detect

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder with data/unzip and data/h5 of four recordings: two at 25 kHz, one at 10 kHz, one of spike times."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("unzip", "h5"):
        (folder / name).mkdir()
    labels = RIG_ROW_ORDER[:12]
    write_small_mcs(folder / "unzip" / "a.h5", n_samples=20_000, labels=labels, adc_zero=7)
    write_small_mcs(folder / "unzip" / "b.h5", n_samples=15_000, labels=labels, seed=9)
    write_small_mcs(folder / "unzip" / "slow.h5", n_samples=8_000, labels=labels, sampling_rate_hz=10_000, seed=5)
    write_small_spike_times(folder / "unzip" / "times.h5")
    for name, label in (("a", "x"), ("b", "y"), ("slow", "x"), ("times", "y")):
        add_recording(folder, name, label, f"{name}.h5")
    write_json(folder / "h5" / "params.json", {"h5": {"stream": "raw", "on_bad_recording": "error"}})
    (folder / "params.yaml").write_text(PARAMS)
    return folder


def run_array(lab, out, *arguments, cache=None):
    command = [sys.executable, "-m", "stages.array", "--h5", lab / "h5", "--unzip", lab / "unzip"]
    command += ["--out", out / "array", "--metrics", out / "metrics.json", "--plots", out / "plots"]
    command += ["--params", lab / "params.yaml", *arguments]
    environment = os.environ | {"MEA_CACHE": str(cache or out / "cache"), "MEA_WORKERS": "1"}
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def done(lab):
    result = run_array(lab, lab / "first")
    assert result.returncode == 0, result.stderr
    count, line = result.stdout.splitlines()[-2:]
    assert count.startswith("array: 3 recordings in") and count.endswith("1 set aside")
    assert line.startswith("  slow: recorded at 10000 Hz, not at 25000 Hz. Set array.other_sampling_rate to resample")
    return lab / "first"


def test_events_equal_the_predecessor(lab, done):
    """From the vendor's file to the npz: the dense array of the literal predecessor, from the rig's own rows."""
    counts = write_small_mcs(lab / "again.h5", n_samples=20_000, labels=RIG_ROW_ORDER[:12], adc_zero=7)
    events = load_events(done / "array" / "a.npz")
    assert events.recording == "a"
    line = pd.read_csv(done / "array" / "catalogue.csv").set_index("recording").loc["a"]
    assert tuple(line[["label", "culture", "batch"]]) == ("x", "culture of a", "b1")
    assert events.dense(0, 20_000).shape == (12, 12, 20_000)
    expected = np.zeros((12, 12, 20_000), np.float32)
    for name, samples in zip(RIG_ROW_ORDER[:12], counts, strict=True):
        x = predecessor.convert_to_microvolts(samples, 7, 59605 * 10.0**-12)
        place = int(name[1:]) - 1, "ABCDEFGHJKLM".index(name[0])
        expected[place] = predecessor.clean_electrode(x, 25_000)[0].astype(np.float32)
    np.testing.assert_array_equal(events.dense(0, 20_000), expected)
    assert expected.any()


def read_catalogue(done):
    return pd.read_csv(done / "array" / "catalogue.csv", keep_default_na=False, index_col="recording")


def test_the_catalogue_lists_every_recording_and_why_one_is_set_aside(done):
    catalogue = read_catalogue(done)
    rates = ["sampling_rate_hz", "recorded_sampling_rate_hz"]
    known = ["label", "culture", "batch", *rates, "duration_s", "pauses_s", "electrodes", "start", "places"]
    found = ["events", "spikes_per_s", "noise_uv", "bytes", "status", "reason", "quality"]
    assert list(catalogue.columns) == known + found
    assert list(catalogue.index) == ["a", "b", "slow", "times"]
    assert list(catalogue.status) == ["used", "used", "set aside", "used"]
    assert catalogue.reason["slow"] == "recorded at 10000 Hz, not at 25000 Hz"


def test_the_catalogue_keeps_what_the_small_file_says(done):
    catalogue = read_catalogue(done)
    assert catalogue.start["a"] != ""
    there = np.unpackbits(np.frombuffer(bytes.fromhex(catalogue.places["a"]), np.uint8))
    assert there.sum() == 12 and catalogue.places["times"] == "", "what spike times lack is silent: that is signal"


def test_the_catalogue_counts_events_and_bytes(done):
    catalogue, file = read_catalogue(done), done / "array" / "a.npz"
    events = load_events(file)
    assert int(catalogue.events["a"]) == len(events)
    assert int(catalogue.bytes["a"]) == file.stat().st_size
    assert float(catalogue.spikes_per_s["a"]) == pytest.approx(len(events) / 0.8 / 12)


def test_the_catalogue_measures_the_noise_of_voltages_only(done):
    catalogue = read_catalogue(done)
    sigma_uv = 80 * 59605e-12 * 1e6  # the noise of make_small_counts
    assert float(catalogue.noise_uv["a"]) == pytest.approx(sigma_uv, rel=0.05)
    assert catalogue.noise_uv["times"] == ""


def test_metrics_are_totals_of_the_catalogue(done):
    catalogue = read_catalogue(done)
    metrics = json.loads((done / "metrics.json").read_text())
    assert metrics["recordings"] == 3 and metrics["set_aside"] == {"slow": catalogue.reason["slow"]}
    assert metrics["events"] == sum(int(value) for value in catalogue.events if value)
    assert metrics["hours"] == pytest.approx((0.8 + 0.6 + 30) / 3600)
    dense = 12 * 12 * 35_000 * 8
    assert metrics["dense_ratio"] == pytest.approx(dense / (int(catalogue.bytes["a"]) + int(catalogue.bytes["b"])))


def test_parameters_so_far_are_kept_beside_the_events(done):
    params = json.loads((done / "array" / "params.json").read_text())
    assert params == {
        "h5": {"stream": "raw", "on_bad_recording": "error"},
        "array": {"sampling_rate_hz": 25000, "other_sampling_rate": "set_aside", "threshold": 5.0},
    }


def list_plots(recording, plots):
    return {f"{recording}_{plot}{suffix}" for plot in plots for suffix in (".png", ".csv")}


def test_plots(done):
    plots = ("electrodes", "maps", "overlay", "raster", "traces")
    names = {path.name for path in (done / "plots").iterdir()}
    assert names == list_plots("a", plots) | list_plots("b", plots)
    traces = pd.read_csv(done / "plots" / "a_traces.csv")
    assert traces.peak.sum() > 0 and (traces.cleaned_uv[traces.peak == 1] != 0).all()


def test_spike_times_are_drawn_without_traces(lab, done, tmp_path):
    draw_recording(
        "times", lab / "h5", lab / "unzip", done / "array", tmp_path, SpikeDetection(25_000, "set_aside", 5.0)
    )
    assert {path.name for path in tmp_path.iterdir()} == list_plots("times", ("electrodes", "maps", "raster"))


def test_a_recording_is_drawn_once(lab, done, tmp_path, monkeypatch):
    """From the cache, no sample is needed; with another threshold it is another plot."""
    monkeypatch.setenv("MEA_CACHE", str(done / "cache"))
    draw_recording("a", lab / "h5", tmp_path, done / "array", tmp_path, SpikeDetection(25_000, "set_aside", 5.0))
    for path in list_plots("a", ("electrodes", "maps", "overlay", "raster", "traces")):
        assert (tmp_path / path).read_bytes() == (done / "plots" / path).read_bytes()
    with pytest.raises(BadRecording, match=r"a\.h5"):
        draw_recording("a", lab / "h5", tmp_path, done / "array", tmp_path, SpikeDetection(25_000, "set_aside", 6.0))


def test_shown_recordings_alternate_between_labels():
    labels = {"a": "x", "b": "x", "c": "y", "d": "y", "e": "x", "f": "z"}
    lines = [{"recording": name, "label": label, "status": "used"} for name, label in labels.items()]
    lines[0]["status"] = "set aside"
    assert choose_shown(lines, 4) == ["b", "c", "f", "e"] and choose_shown(lines, 9) == ["b", "c", "f", "e", "d"]


def test_same_bytes_again_with_and_without_the_cache(lab, done):
    for out, cache in ((lab / "warm", done / "cache"), (lab / "cold", None)):
        assert run_array(lab, out, cache=cache).returncode == 0
        for name in ("array", "plots"):
            assert list_bytes(out / name) == list_bytes(done / name)
        assert (out / "metrics.json").read_bytes() == (done / "metrics.json").read_bytes()


@pytest.mark.parametrize(("changed", "again"), [("label", 0), ("gain", 1)])
def test_only_what_changed_is_worked_on_again(lab, done, tmp_path, changed, again):
    """Spikes do not depend on who was measured; of a recording that is another, its own are found again."""
    shutil.copytree(lab / "h5", tmp_path / "h5")
    if changed == "label":
        path = tmp_path / "h5" / "catalogue.csv"
        path.write_text(path.read_text().replace("\nb,y,", "\nb,z,"))
    else:
        recording = read_recording(tmp_path / "h5" / "b.h5")
        source = replace(recording.source, gain_v=2 * recording.source.gain_v)
        write_recording(tmp_path / "h5" / "b.h5", replace(recording, source=source))
    (tmp_path / "unzip").mkdir()
    for name in ("a", "b"):
        shutil.copy(lab / "unzip" / f"{name}.h5", tmp_path / "unzip")
    (tmp_path / "params.yaml").write_text(PARAMS)
    before = set((done / "cache").rglob("*.npz"))
    assert run_array(tmp_path, tmp_path, cache=done / "cache").returncode == 0
    assert len(set((done / "cache").rglob("*.npz")) - before) == again
    labels = pd.read_csv(tmp_path / "array" / "catalogue.csv").set_index("recording")["label"]
    assert labels["b"] == ("z" if changed == "label" else "y")


@pytest.mark.slow
def test_resampling_uses_every_recording(lab, tmp_path):
    result = run_array(lab, tmp_path, "--set", "array.other_sampling_rate=resample")
    assert result.returncode == 0, result.stderr
    events = load_events(tmp_path / "array" / "slow.npz")
    assert (events.sampling_rate_hz, events.n_samples, events.duration_s) == (25_000, 20_000, 0.8)
    assert len(events) >= 12 and json.loads((tmp_path / "metrics.json").read_text())["set_aside"] == {}


def refuse_array(folder, *arguments):
    """Run the stage in this process; it must end with a message, which is returned, and leave no output."""
    paths = {"h5": folder / "h5", "unzip": folder / "unzip", "out": folder / "array"}
    paths |= {"metrics": folder / "metrics.json", "plots": folder / "plots"}
    argv = [*arguments, "--params", str(folder / "params.yaml")]
    with pytest.raises(SystemExit) as error:
        run_command(detect, Params, argv, **{name: str(path) for name, path in paths.items()})
    assert not any(path.exists() for name, path in paths.items() if name not in ("h5", "unzip"))
    return str(error.value)


@pytest.fixture
def copy_of_lab(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEA_WORKERS", "1")
    for name in ("h5", "unzip"):
        shutil.copytree(lab / name, tmp_path / name)
    shutil.copy(lab / "params.yaml", tmp_path)
    return tmp_path


def test_corrupt_samples_stop_the_stage_and_leave_nothing(copy_of_lab):
    path = copy_of_lab / "unzip" / "b.h5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert re.search(r"array: .*b\.h5: ", refuse_array(copy_of_lab))


def test_a_missing_catalogue_is_made_by_the_stage_before(copy_of_lab):
    (copy_of_lab / "h5" / "catalogue.csv").unlink()
    assert "It is written by the stage h5: dvc repro h5." in refuse_array(copy_of_lab)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "array.sampling_rate_hz=9999",
            "no recording at array.sampling_rate_hz = 9999; there are 10000 Hz, 25000 Hz. Set array.sampling_rate_hz",
        ),
        ("array.threshold=0", "array.threshold = 0: Input should be greater than 0"),
        ("array.other_sampling_rate=drop", "array.other_sampling_rate = 'drop'"),
    ],
)
def test_parameters_that_do_not_fit(copy_of_lab, setting, message):
    (copy_of_lab / "h5" / "times.h5").unlink()
    assert message in refuse_array(copy_of_lab, "--set", setting)


def test_no_recordings(copy_of_lab):
    shutil.rmtree(copy_of_lab / "h5")
    assert "no recordings (*.h5). They are written by the stage h5" in refuse_array(copy_of_lab)
