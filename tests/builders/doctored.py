"""Files for the doctor to look at, and what is asked of its findings."""

from builders.lab import ROOT
from builders.recordings import make_small_counts, write_small_mcs, write_small_spike_times
from mea.doctor.files import examine_files
from mea.doctor.findings import FINE
from mea.doctor.settings import read_settings
from mea.recordings.layouts import electrode_labels

SAMPLING_RATE_HZ = 10_000
LABELS = tuple(electrode_labels("60MEA"))
SMALL = {"labels": LABELS, "layout": "60MEA200/30iR-Ti", "sampling_rate_hz": SAMPLING_RATE_HZ}
PARAMS = ("h5.labels={a: [ctl], b: [trt]}", f"array.sampling_rate_hz={SAMPLING_RATE_HZ}", "evaluate.permutations=100")
RAW, FILTERED = "'Data Acquisition (1) Electrode Raw Data'", "'Filter (1) Filter Data'"
VENDOR_FILE = "mcs_vendor/2014-07-09T10-17-35W8 Standard all 500 Hz.h5"


def set_params(*overrides):
    return read_settings(ROOT / "params.yaml", [*PARAMS, *overrides])


def write(path, change=None, n_samples=SAMPLING_RATE_HZ, seed=0, **given):
    """A small 60-electrode file, its (60, n_samples) counts changed in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    given = SMALL | given
    counts = make_small_counts(len(given["labels"]), n_samples, sampling_rate_hz=SAMPLING_RATE_HZ, seed=seed)
    if change:
        change(counts)
    write_small_mcs(path, counts=counts, n_samples=n_samples, **given)
    return path


def examine(path, *overrides, out=None, as_source=False):
    """The recordings in a file or folder, and all findings."""
    examined, findings = examine_files([path], set_params(*overrides), out or path.parent / "out", as_source)
    return examined, [*findings, *(finding for one in examined for finding in one.findings)]


def find(findings, text, level=None):
    """The only finding in which a text stands."""
    found = [one for one in findings if text in one.what]
    assert len(found) == 1, f"{text!r}: {[one.what for one in findings]}"
    assert level in (None, found[0].severity)
    return found[0]


def list_bad(findings):
    return [one.what for one in findings if one.severity != FINE]


def write_lab(folder, batches=3, cultures=2, labels=("a", "b"), known=True, **given):
    """Spike-time files of every culture, and who they are."""
    folder.mkdir()
    lines = ["recording,label,culture,batch"]
    for batch in range(batches):
        for label in labels if isinstance(labels, tuple) else labels(batch):
            for culture in range(cultures):
                name = f"{label}_{batch}_{culture}"
                write_small_spike_times(folder / f"{name}.h5", seed=len(lines), **given)
                lines.append(f"{name},{label},{name},b{batch}" if known else f"{name},{label},,")
    (folder / "recordings.csv").write_text("\n".join(lines))
    return folder
