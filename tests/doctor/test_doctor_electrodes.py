"""The doctor on electrodes: failures planted in files of the rigs' own formats."""

import numpy as np
import pandas as pd
import pytest
from builders.doctored import LABELS, examine, find, list_bad, write

from mea.doctor.electrodes import FIRST_S
from mea.doctor.findings import DOUBTFUL, FINE, WRONG

RAW, FILTERED = "'Data Acquisition (1) Electrode Raw Data'", "'Filter (1) Filter Data'"
VENDOR_FILE = "mcs_vendor/2014-07-09T10-17-35W8 Standard all 500 Hz.h5"

pytestmark = pytest.mark.usefixtures("alone")


def test_a_good_recording_has_nothing_doubtful(tmp_path):
    (one,), findings = examine(write(tmp_path / "ctl_1.h5"))
    assert list_bad(findings) == []
    assert (one.used, one.electrodes, one.label_from, one.result.label) == (True, "60 of 60", "file name", "a")
    assert one.noise_uv == pytest.approx(80 * 0.059605, rel=0.03)  # what the counts were drawn with
    assert find(findings, "60 of the 60 electrodes of 60MEA").severity == FINE
    assert find(findings, "is read, the only electrode stream straight from the rig (h5.stream: raw)").severity == FINE


def test_planted_failures_of_electrodes_are_found_and_no_others(tmp_path):
    random = np.random.default_rng(1)

    def change(counts):
        counts[3] = 17  # never changes
        counts[8] = random.normal(0, 6, counts.shape[1])  # the amplifier's own noise
        counts[20] = np.clip(40 * counts[20], -32768, 32767)  # spikes beyond the range
        counts[20, :2000] = 32767
        counts[31, ::2], counts[31, 1::2] = 32767, -32768  # from rail to rail
        counts[40] *= 9

    (one,), findings = examine(write(tmp_path / "ctl_1.h5", change), out=tmp_path / "out")
    assert find(findings, "dead electrodes", DOUBTFUL).what.endswith(f": {LABELS[3]}, {LABELS[8]}")
    assert find(findings, "saturated electrodes", DOUBTFUL).what.endswith(f": {LABELS[20]}, {LABELS[31]}")
    assert find(findings, "noisy electrodes", DOUBTFUL).what.endswith(f": {LABELS[40]}")
    assert len(list_bad(findings)) == 3
    assert one.used
    table = pd.read_csv(tmp_path / "out" / "ctl_1.csv", dtype={"electrode": str})
    failing = table[table["status"] != "works"]
    expected = {3: "dead", 8: "dead", 20: "saturated", 31: "saturated", 40: "noisy"}
    assert dict(zip(failing["electrode"], failing["status"])) == {LABELS[k]: kind for k, kind in expected.items()}
    assert (tmp_path / "out" / "ctl_1.png").read_bytes()[:4] == b"\x89PNG"


def test_an_unplugged_array_is_wrong(tmp_path):
    _, findings = examine(write(tmp_path / "ctl_1.h5", lambda counts: counts.fill(0)))
    assert find(findings, "no electrode records anything", WRONG).remedy


def test_an_array_that_is_saturated_everywhere(tmp_path):
    def change(counts):
        counts[:, :5000], counts[:, 5000:] = 32767, -32768

    _, findings = examine(write(tmp_path / "ctl_1.h5", change))
    (found,) = [one for one in findings if one.severity != FINE]
    assert found.what.startswith("saturated electrodes") and found.what.endswith(" and 48 more")


def test_quiet_signals_of_few_counts_are_not_saturated(tmp_path):
    """Every other sample of one-count noise is an extreme."""

    def change(counts):
        counts[:] = np.random.default_rng(0).integers(-1, 2, counts.shape)

    _, findings = examine(write(tmp_path / "ctl_1.h5", change, conversion_factor=4_000_000))
    assert list_bad(findings) == []


def test_a_wrong_gain_and_a_shifted_baseline(tmp_path):
    def change(counts):
        counts[5:8] += 400

    _, findings = examine(write(tmp_path / "ctl_1.h5", change))
    found = find(findings, "baseline away from 0 µV", DOUBTFUL)
    assert f"on 3 of 60 electrodes: {', '.join(LABELS[5:8])}" in found.what and "h5.stream" in found.remedy
    assert f"up to {400 * 0.059605:.3g} µV" in found.what
    _, findings = examine(write(tmp_path / "ctl_2.h5", conversion_factor=59605_000))
    assert "check that the gain" in find(findings, "0.5 to 100 µV is usual", DOUBTFUL).remedy.lower()
    assert len(list_bad(findings)) == 1


def test_missing_electrodes_are_named(tmp_path):
    labels = [label for label in LABELS if label not in ("44", "78")]
    (one,), findings = examine(write(tmp_path / "ctl_1.h5", labels=labels), out=tmp_path / "out")
    assert find(findings, "58 of the 60 electrodes of 60MEA; missing: 44, 78", DOUBTFUL).remedy
    assert one.electrodes == "58 of 60"
    table = pd.read_csv(tmp_path / "out" / "ctl_1.csv", dtype={"electrode": str}).set_index("electrode")
    assert list(table.index[table["status"] == "missing"]) == ["44", "78"]
    assert (table.loc["78", "row"], table.loc["78", "col"]) == (7, 6)  # column first on the rig


def test_a_reference_in_place_of_an_electrode_is_fine(tmp_path):
    labels = ["Ref" if label == "15" else label for label in LABELS]
    _, findings = examine(write(tmp_path / "ctl_1.h5", labels=labels))
    assert find(findings, "missing: 15: the reference takes its place").severity == FINE
    assert list_bad(findings) == []


def test_only_the_first_seconds_are_looked_at(tmp_path):
    def change(counts):
        counts[2, : int(FIRST_S * 500)] = 0
        counts[4, int(FIRST_S * 500) :] = 0

    path = write(tmp_path / "ctl_1.h5", change, n_samples=10_000, sampling_rate_hz=500, labels=LABELS)
    _, findings = examine(path, "array.sampling_rate_hz=500")
    assert find(findings, "dead electrodes in the first 10 s").what.endswith(f": {LABELS[2]}")
