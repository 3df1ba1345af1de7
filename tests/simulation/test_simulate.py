"""Simulated recordings: the truth behind them, their voltages, and the files."""

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
from scipy.signal import welch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.layouts import electrode_labels
from mea.runtime.errors import MeaError
from mea.runtime.params import read_section
from mea.simulation.noise import make_noise, noise_density
from mea.simulation.plans import LABELS, ODD, plan_new, plan_training
from mea.simulation.simulate import list_channels, make_waveform, simulate_counts, simulate_spikes, write_simulated
from mea.simulation.simulated_network import LARGEST_UV, MARGIN_S, REFRACTORY_S, SMALLEST_UV
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


@pytest.fixture(scope="module")
def measured():
    """A plan, its spikes and its voltages in µV (float64, n electrodes x 2 s)."""
    plan = plan_one()
    counts, adc_zero, factor = simulate_counts(plan, 2.0)
    assert counts.dtype == np.int32
    return plan, *simulate_spikes(plan, 2.0), (counts - adc_zero[:, None]) * factor[:, None] * 1e-6


def hash_folder(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


# --- the truth: traits and spikes ---


def test_refractory_period_margins_and_amplitudes_hold():
    for plan in plan_training(1, 2, 1, 1, class_effect=1.0, recording_variance=1.0):
        _, spikes = simulate_spikes(plan, 10.0)
        same = np.diff(spikes.electrode) == 0
        assert np.all(np.diff(spikes.electrode) >= 0)
        assert np.all(np.diff(spikes.time_s)[same] >= REFRACTORY_S)
        assert spikes.time_s.min() >= MARGIN_S
        assert spikes.time_s.max() <= 10.0 - MARGIN_S
        assert spikes.amplitude_uv.min() >= SMALLEST_UV
        assert spikes.amplitude_uv.max() <= LARGEST_UV


def test_class_effect_zero_leaves_classes_the_same():
    without, exposed = plan_training(7, 1, 1, 1, class_effect=0.0, recording_variance=1.0)
    assert (without.label, exposed.label) == LABELS
    exposed = replace(exposed, key=without.key)
    for mine, other in zip(simulate_spikes(without, 5.0), simulate_spikes(exposed, 5.0)):
        for name, value in vars(mine).items():
            np.testing.assert_array_equal(value, getattr(other, name))


def test_class_effect_acts_on_firing_and_not_on_the_rig():
    one, other = (simulate_spikes(plan_one(class_shift=shift), 1.0)[0] for shift in (-0.5, 0.5))
    for name in ("amplitude_uv", "width", "noise_uv", "delay_s"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert other.burst_hz > one.burst_hz
    assert other.burst_s < one.burst_s
    assert other.participation > one.participation


def test_spikes_come_at_the_rates_of_the_traits():
    # With electrodes that never burst, the background alone must give rate x time, up to Poisson noise of 5 sigma.
    plan = plan_one()
    traits, spikes = simulate_spikes(plan, 400.0)
    inside = np.zeros(len(spikes.time_s), bool)
    for start, length in zip(spikes.burst_start_s, spikes.burst_s):
        inside |= (spikes.time_s >= start) & (spikes.time_s <= start + length + traits.delay_s.max())
    quiet_s = 400.0 - np.sum(spikes.burst_s + traits.delay_s.max())
    expected = traits.background_hz.sum() * quiet_s
    assert abs((~inside).sum() - expected) < 0.05 * expected
    assert len(spikes.burst_s) == pytest.approx(400.0 * traits.burst_hz, rel=0.15)


def test_without_fingerprint_recordings_share_their_traits_and_not_their_spikes():
    one, _, other, _ = plan_training(2, 2, 1, 1, class_effect=1.0, recording_variance=0.0)
    (traits, spikes), (other_traits, other_spikes) = simulate_spikes(one, 4.0), simulate_spikes(other, 4.0)
    for name, value in vars(traits).items():
        np.testing.assert_array_equal(value, getattr(other_traits, name))
    assert not np.array_equal(spikes.time_s[:50], other_spikes.time_s[:50])


def test_recordings_of_one_culture_are_more_alike_than_others():
    plans = plan_training(2, 8, 1, 2, class_effect=0.0, recording_variance=1.0)
    rates = np.log1p([simulate_spikes(plan, 1.0)[0].background_hz for plan in plans])
    alike = np.corrcoef(rates)
    cultures = np.array([plan.culture for plan in plans])
    same = (cultures[:, None] == cultures) & ~np.eye(len(plans), dtype=bool)
    different = cultures[:, None] != cultures
    assert alike[same].mean() > alike[different].mean() + 0.2


def test_a_recording_does_not_depend_on_the_others():
    few = plan_training(9, 1, 1, 1, class_effect=1.0, recording_variance=1.0)
    many = plan_training(9, 3, 2, 2, class_effect=1.0, recording_variance=1.0)
    assert set(few) <= set(many)
    assert len({plan.recording for plan in many}) == len(many) == 24


def test_every_chunk_of_a_living_culture_holds_spikes():
    for plan in plan_training(4, 4, 1, 1, class_effect=1.0, recording_variance=1.0):
        _, spikes = simulate_spikes(plan, 9.6)
        assert np.bincount((spikes.time_s / 1.2).astype(int), minlength=8).min() > 5


def summarise(spikes, first_s: float, last_s: float) -> list[float]:
    time = spikes.time_s[(spikes.time_s >= first_s) & (spikes.time_s < last_s)]
    population = np.histogram(time, np.arange(first_s, last_s, 0.02))[0]
    busy = population > 8
    starts = np.sum(np.diff(busy.astype(int)) == 1)
    heights = [values.mean() if len(values) else 0 for values in (population[busy], population[~busy])]
    return [starts, np.log1p(busy.sum()), *np.log1p(heights), np.log1p(len(time))]


def describe_electrodes(spikes, first_s: float, last_s: float) -> np.ndarray:
    inside = (spikes.time_s >= first_s) & (spikes.time_s < last_s)
    count = np.bincount(spikes.electrode[inside], minlength=120)
    total = np.bincount(spikes.electrode[inside], spikes.amplitude_uv[inside], minlength=120)
    return np.concatenate([np.log1p(count), total / np.maximum(count, 1) / 30])


def score_lab(seed: int, class_effect: float) -> tuple[float, float, float]:
    """Accuracy of recordings by held-out batch; of chunks by held-out batch; of chunks mixed."""
    plans = plan_training(seed, 6, 2, 1, class_effect=class_effect, recording_variance=1.0)
    spikes = [simulate_spikes(plan, 9.6)[1] for plan in plans]
    labels, batches = (np.array([getattr(plan, name) for plan in plans]) for name in ("label", "batch"))
    whole = np.array([summarise(one, 0, 9.6) for one in spikes])
    chunks = np.array([describe_electrodes(one, 1.2 * k, 1.2 * k + 1.2) for one in spikes for k in range(8)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    mixed = StratifiedKFold(4, shuffle=True, random_state=0)
    honest = cross_val_score(model, whole, labels, groups=batches, cv=LeaveOneGroupOut())
    by_batch = cross_val_score(model, chunks, labels.repeat(8), groups=batches.repeat(8), cv=LeaveOneGroupOut())
    return honest.mean(), by_batch.mean(), cross_val_score(model, chunks, labels.repeat(8), cv=mixed).mean()


def test_without_class_effect_only_the_chunk_split_finds_something():
    honest, by_batch, mixed = np.mean([score_lab(seed, 0.0) for seed in range(6)], axis=0)
    assert 0.3 < honest < 0.65
    assert 0.4 < by_batch < 0.6
    assert mixed > 0.9


def test_with_class_effect_the_honest_split_finds_it():
    honest, _, _ = np.mean([score_lab(seed, 1.0) for seed in range(4)], axis=0)
    assert 0.8 < honest < 0.99


# --- the voltages ---


def test_waveform_is_biphasic_and_about_a_millisecond_long():
    first, shape = make_waveform(25_000, 1.0, 0.3)
    time_ms = (first + np.arange(len(shape))) / 25
    assert shape.min() == shape[-first] == -1
    assert 0.2 < shape.max() < 0.4
    assert 0.3 < time_ms[shape.argmax()] < 0.8
    assert np.abs(shape[(time_ms < -0.4) | (time_ms > 1.1)]).max() < 0.02


def test_planted_spikes_are_found_at_their_times(measured):
    _, traits, spikes, voltage_uv = measured
    assert len(spikes.time_s) > 300
    near = np.rint(spikes.time_s * 25_000).astype(int)[:, None] + np.arange(-4, 5)
    seen = voltage_uv[spikes.electrode[:, None], near] * traits.polarity[spikes.electrode, None]
    noise_uv = traits.noise_uv[spikes.electrode]
    assert np.all(seen.min(axis=1) < -4 * noise_uv)
    # The trough is as deep as planted, up to noise and the small foot of a spike just before it.
    assert np.all(np.abs(seen.min(axis=1) + spikes.amplitude_uv) < 5 * noise_uv + 0.05 * LARGEST_UV)
    found_late = np.abs(seen.argmin(axis=1) - 4)
    assert np.median(found_late) == 0
    assert np.mean(found_late <= 1) > 0.97


def test_nothing_but_planted_spikes_stands_out_of_the_noise(measured):
    _, traits, spikes, voltage_uv = measured
    planted = np.zeros(voltage_uv.shape, bool)
    for electrode, trough in zip(spikes.electrode, np.rint(spikes.time_s * 25_000).astype(int)):
        planted[electrode, max(0, trough - 25) : trough + 60] = True
    rest = np.where(planted, 0, voltage_uv) / traits.noise_uv[:, None]
    assert np.abs(rest).max() < 6.5
    spread = np.sqrt(np.sum(rest**2) / np.sum(~planted))
    assert spread == pytest.approx(1, abs=0.02)
    assert traits.noise_uv.min() >= 4
    assert traits.noise_uv.max() <= 6


@pytest.mark.parametrize("sampling_rate_hz", [25_000, 10_000])
def test_noise_has_the_spectrum_that_noise_density_states(sampling_rate_hz):
    noise = make_noise(40 * sampling_rate_hz, sampling_rate_hz, 5.0, np.random.default_rng(1))
    assert noise.std() == pytest.approx(5.0, rel=0.01)
    frequency_hz, density = welch(noise, sampling_rate_hz, nperseg=2048)
    middle = slice(4, -4)  # the window blurs both ends
    np.testing.assert_allclose(density[middle], noise_density(frequency_hz[middle], sampling_rate_hz, 5.0), rtol=0.25)
    assert np.mean(density[middle] / noise_density(frequency_hz[middle], sampling_rate_hz, 5.0)) == pytest.approx(
        1, abs=0.01
    )


def test_noise_falls_towards_both_ends():
    below, low, high, highest = noise_density(np.array([10.0, 250.0, 2000.0, 10_000.0]), 25_000, 5.0)
    assert below < 0.1 * low
    assert low > 2 * high > 3 * highest
    frequency_hz = np.linspace(0, 12_500, 100_001)
    assert np.trapezoid(noise_density(frequency_hz, 25_000, 5.0), frequency_hz) == pytest.approx(25, rel=1e-3)


def test_mains_hum_is_there_and_faint():
    counts, adc_zero, _ = simulate_counts(plan_one(lifeless=True), 4.0)
    frequency_hz, density = welch((counts - adc_zero[:, None]) * 0.76294, 25_000, nperseg=25_000)
    power = density.mean(axis=0)
    assert power[frequency_hz == 50] > 3 * power[frequency_hz == 40]
    assert power[frequency_hz == 50] < 1  # µV²/Hz in a 1 Hz bin: below 1 µV


def test_channels_are_the_layouts_electrodes():
    for layout in ("120MEA200/30iR-Ti", "60MEA200/30iR-Ti"):
        assert sorted(list_channels(layout)) == sorted(electrode_labels(layout))


# --- the files ---


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
