"""Inputs of the array stage: recordings as the h5 stage writes them."""

from mea.recordings.formats import read_raw_recordings
from mea.recordings.recording import Recording, write_recording
from mea.runtime.files import hash_file

PARAMS = "array: {sampling_rate_hz: 25000, other_sampling_rate: set_aside, threshold: 5.0}\n"


def add_recording(folder, name, label, file):
    source = read_raw_recordings(folder / "unzip" / file, "raw")[0]
    recording = Recording(name, file, hash_file(folder / "unzip" / file), source, 7)
    write_recording(folder / "h5" / f"{name}.h5", recording)
    path = folder / "h5" / "catalogue.csv"
    lines = path.read_text().splitlines() if path.exists() else ["recording,label,culture,batch"]
    path.write_text("\n".join([*lines, f"{name},{label},culture of {name},b1"]) + "\n")


def list_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
