"""The plots of one recording: traces before and after cleaning, an overlay of two, raster, maps, electrodes' names."""

import shutil
import tempfile
from pathlib import Path

import matplotlib

from mea.arrays.detection import SpikeDetection, measure_noise, place_on_grid
from mea.arrays.events_file import load_events
from mea.arrays.plots_electrodes import plot_electrode_maps, plot_electrode_names
from mea.arrays.plots_recordings import plot_overlay, plot_raster, plot_traces
from mea.arrays.traces import cut_traces
from mea.recordings.recording import read_recording
from mea.runtime.cache import fetch_file, make_key
from mea.runtime.files import hash_file
from mea.runtime.style import save_plot


def draw_recording(name: str, h5: Path, unzip: Path, array: Path, plots: Path, detection: SpikeDetection) -> None:
    """Draw a recording into ``plots``, ``<recording>_<kind>.png`` and ``.csv``; from the cache if it was drawn before.

    Parameters
    ----------
    name
        Its id.
    h5, unzip, array
        Folders of its small file, of the rig's file and of its events.
    plots
        Where the plots go.
    detection
        How its spikes were detected.
    """
    values = {
        "recording": hash_file(h5 / f"{name}.h5"),
        "events": hash_file(array / f"{name}.npz"),
        "detection": vars(detection),
        "matplotlib": matplotlib.__version__,
    }
    with tempfile.TemporaryDirectory(prefix="mea-plots-") as folder:
        drawn, packed = Path(folder) / "drawn", Path(folder) / "plots.zip"

        def make(path: Path) -> None:
            _draw(name, h5, unzip, array, drawn, detection)
            shutil.make_archive(str(path.with_suffix("")), "zip", drawn)

        fetch_file(make_key(values, __name__), packed, make)
        shutil.unpack_archive(packed, plots)


def _draw(name: str, h5: Path, unzip: Path, array: Path, plots: Path, detection: SpikeDetection) -> None:
    recording, events = read_recording(h5 / f"{name}.h5"), load_events(array / f"{name}.npz")
    noise = place_on_grid(events, measure_noise(events, detection.threshold)) if events.has_waveforms else None
    names = (events.row, events.col, list(recording.source.names), events.rows, events.cols)
    times = (events.electrode, events.spike_times_s, events.n_electrodes, events.duration_s)
    drawn = {
        "electrodes": plot_electrode_names(*names, title=name),
        "maps": plot_electrode_maps(noise, place_on_grid(events, events.firing_rates_hz), title=name),
        "raster": plot_raster(*times, title=name),
    }
    if events.has_waveforms:
        traces = cut_traces(unzip / recording.file, recording, events, detection)
        drawn["traces"] = plot_traces(traces, title=name)
        drawn["overlay"] = plot_overlay(
            traces.cleaned_uv,
            traces.sampling_rate_hz,
            traces.titles,
            traces.peaks,
            traces.start_s,
            title=f"{name}, after cleaning",
        )
    for kind, plot in drawn.items():
        save_plot(plot, plots / f"{name}_{kind}.png")
