"""Files that are left to neo: a NeuroExplorer file written by the tests, from its folder to recordings."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from builders.high_density import write_nex

from mea.doctor.files import examine_files
from mea.doctor.settings import read_settings
from mea.recordings.archives import unpack
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.identities import identify_nobody
from mea.recordings.layouts import Layout
from mea.recordings.other_files import explain_other_files, list_suffixes
from mea.recordings.reading import read_recordings
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording, MeaError

RANDOM = np.random.default_rng(0)
SIGNALS = {name: RANDOM.integers(-900, 900, 3000) for name in ("33", "12", "Ref")}
SPIKES = {"21": np.array([200, 50_000]), "12": np.array([100, 40_100])}
TICKS_HZ = 20_000


def read_one(path: Path, stream: str = "raw", layouts=None) -> RawRecording:
    (source,) = read_raw_recordings(path, stream, layouts or {}, "neo")
    if isinstance(source, BadRecording):
        raise source
    return source


def test_voltages_of_channels_that_neo_divides_are_one_recording(tmp_path):
    write_nex(tmp_path / "a.nex", SIGNALS, SPIKES, ticks_hz=TICKS_HZ)
    source = read_one(tmp_path / "a.nex")
    assert (source.names.tolist(), source.sampling_rate_hz, source.n_samples) == (["12", "33"], 1000, 3000)
    assert (source.layout, source.rig) == ("60MEA", "read by neo (NeuroExplorer)")
    counts = read_counts(tmp_path / "a.nex", source)
    assert np.array_equal(counts, [SIGNALS["12"], SIGNALS["33"]])
    assert np.array_equal(read_counts(tmp_path / "a.nex", source, 7, 900), counts[:, 7:900])
    assert source.gain_v.tolist() == pytest.approx([1e-5, 1e-5])
    assert any("reference left out: Ref" in note for note in source.notes)


def test_spikes_are_read_where_there_are_no_voltages_or_they_are_asked_for(tmp_path):
    write_nex(tmp_path / "a.nex", SIGNALS, SPIKES, ticks_hz=TICKS_HZ)
    write_nex(tmp_path / "b.nex", {}, SPIKES, ticks_hz=TICKS_HZ)
    for source in (read_one(tmp_path / "a.nex", "spikes"), read_one(tmp_path / "b.nex")):
        for name, train in SPIKES.items():
            own = source.spike_times_s[source.names[source.spike_electrode] == name]
            assert own.tolist() == pytest.approx((train / TICKS_HZ).tolist())
        assert len(source.spike_times_s) == 4
        assert source.n_electrodes == 60


def test_channels_of_the_labs_layout_have_its_places(tmp_path):
    write_nex(tmp_path / "a.nex", {"sig_a": SIGNALS["12"]}, {}, ticks_hz=TICKS_HZ)
    with pytest.raises(BadRecording, match=r"'sig_a'.*layouts\.csv"):
        read_one(tmp_path / "a.nex")
    source = read_one(tmp_path / "a.nex", layouts={"own": Layout("own", {"sig_a": (4, 2)})})
    assert (source.row.tolist(), source.col.tolist()) == ([4], [2])


def test_a_damaged_or_unknown_file_is_named(tmp_path):
    write_nex(tmp_path / "a.nex", SIGNALS, SPIKES, ticks_hz=TICKS_HZ)
    content = (tmp_path / "a.nex").read_bytes()
    for cut in (0, 3, 300, 600):
        (tmp_path / "b.nex").write_bytes(content[:cut])
        with pytest.raises(BadRecording, match=r"b\.nex: neo cannot read it"):
            read_one(tmp_path / "b.nex")
    (tmp_path / "b.nex").write_bytes(content[:1500])
    with pytest.raises(BadRecording, match=r"b\.nex"):
        read_counts(tmp_path / "b.nex", read_one(tmp_path / "b.nex"))
    (tmp_path / "c.xyz").write_bytes(b"abc")
    with pytest.raises(BadRecording, match=r"c\.xyz: neo"):
        read_one(tmp_path / "c.xyz")


def test_without_the_parameter_such_a_file_is_listed_and_left_out(tmp_path):
    write_nex(tmp_path / "raw.nex", SIGNALS, SPIKES, ticks_hz=TICKS_HZ)
    with pytest.raises(MeaError, match="neither a folder nor a file that is read"):
        unpack(tmp_path / "raw.nex", tmp_path / "unzip")
    assert "h5.reader: neo" in explain_other_files(tmp_path / "raw.nex", set())[0]


def test_with_the_parameter_it_goes_from_an_archive_to_a_recording_and_the_doctor_looks_at_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_QUIET", "1")
    write_nex(tmp_path / "a.nex", SIGNALS, SPIKES, ticks_hz=TICKS_HZ)
    (tmp_path / "raw").mkdir()
    with zipfile.ZipFile(tmp_path / "raw" / "x.zip", "w") as archive:
        archive.write(tmp_path / "a.nex", "a_control.nex")
    manifest = unpack(tmp_path / "raw", tmp_path / "unzip", list_suffixes("neo"))
    (recording,) = read_recordings(tmp_path / "unzip", manifest, "raw", identify_nobody, None, {}, "neo")
    assert (recording.recording, recording.source.format) == ("a_control", "neo")
    settings = read_settings(None, ["h5.reader=neo", "h5.labels={control: [control]}", "array.sampling_rate_hz=1000"])
    (examined,), findings = examine_files([tmp_path / "raw"], settings, tmp_path / "plots", as_source=True)
    assert examined.used and not findings
    assert any("by neo" in finding.what for finding in examined.findings)


def test_a_missing_package_is_said(tmp_path, monkeypatch):
    write_nex(tmp_path / "a.nex", SIGNALS, SPIKES, ticks_hz=TICKS_HZ)
    monkeypatch.setattr("mea.recordings.formats.neo_bridge.find_spec", lambda name: None)
    with pytest.raises(BadRecording, match="pip install neo"):
        read_one(tmp_path / "a.nex")
