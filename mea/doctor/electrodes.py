"""Is every electrode there, and does it record? Checked in the first seconds of samples."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mea.arrays.electrodes import DEAD_FRACTION, find_dead_electrodes
from mea.arrays.thresholds import find_threshold
from mea.doctor.findings import DOUBTFUL, FINE, WRONG, Finding
from mea.recordings.layouts import electrode_labels, is_known
from mea.recordings.recording import RawRecording

FIRST_S = 10.0  # seconds looked at
NOISY = 5.0  # times the usual noise: the electrode picks up something else than neurons
SHIFTED = 1.0  # robust standard deviations between a baseline and 0 µV, from where on the threshold suffers
RAIL_S, RAIL_SAMPLES = 0.001, 5  # a saturated electrode stays at its extreme at least this long without a break
RAIL_FRACTION = 0.001  # and in at least this fraction of its samples
RAIL_COUNTS = 20  # extremes nearer to each other are those of a still electrode
USUAL_UV = (0.5, 100.0)  # noise of a rig that is connected and whose gain is right
FAILING = {  # attributes of Health: the rule, and what to do
    "dead": (
        f"no change, or at most {DEAD_FRACTION:.0%} of the usual noise",
        "They count as silent. Check the contacts; if the same electrodes are dead in every recording, check the rig.",
    ),
    "saturated": (
        "clipped (at the ADC limit)",
        "Their spikes are cut off or invented. Lower the gain, repair contact or ground, or record again.",
    ),
    "noisy": (
        f"over {NOISY:g} times the usual noise",
        "Spikes drown in them. Check contact, ground and mains hum.",
    ),
}
MOST_NAMES = 12


@dataclass(frozen=True)
class Health:
    """What the first samples show of each of n electrodes.

    Attributes
    ----------
    noise_uv
        (n,) robust standard deviation about 0 µV, as the array stage measures it: 5 of them are its threshold.
    centred_noise_uv
        (n,) the same about the electrode's own median: without the offset.
    offset_uv
        (n,) that median.
    dead, saturated, noisy
        (n,) bool; one of them at most.
    stop_s
        How much was looked at.
    """

    noise_uv: np.ndarray
    centred_noise_uv: np.ndarray
    offset_uv: np.ndarray
    dead: np.ndarray
    saturated: np.ndarray
    noisy: np.ndarray
    stop_s: float


def measure_health(counts: np.ndarray, source: RawRecording) -> Health:
    """Measure the noise, and find electrodes that do not record, in (n, samples) counts of a source."""
    middle = np.array([round(float(np.median(row))) for row in counts])
    noise_uv, centred_noise_uv = (_measure_noise(counts, about, source.gain_v) for about in (source.adc_zero, middle))
    saturated = np.array([_stands_at_rail(row, source.sampling_rate_hz) for row in counts])
    moving = (counts.min(1) < counts.max(1)) & ~saturated
    usual_uv = float(np.median(centred_noise_uv[moving])) if moving.any() else 0.0
    return Health(
        noise_uv=noise_uv,
        centred_noise_uv=centred_noise_uv,
        offset_uv=(middle - source.adc_zero) * source.gain_v * 1e6,
        dead=_find_dead(centred_noise_uv, moving, saturated),
        saturated=saturated,
        noisy=moving & (centred_noise_uv > NOISY * usual_uv),
        stop_s=counts.shape[1] / source.sampling_rate_hz,
    )


def _find_dead(noise_uv: np.ndarray, moving: np.ndarray, saturated: np.ndarray) -> np.ndarray:
    """Electrodes that never change, or have too little noise.

    Without any noise (a gain so low that the median sample is 0) only the first says anything.
    """
    dead = ~moving & ~saturated
    if noise_uv[~saturated].any():
        dead[~saturated] |= find_dead_electrodes(noise_uv[~saturated])
    return dead


def _measure_noise(counts: np.ndarray, about: np.ndarray, gain_v: np.ndarray) -> np.ndarray:
    """(n,) robust standard deviations in µV about these counts (n,)."""
    rows = zip(counts, about.tolist(), gain_v.tolist())
    return np.array([find_threshold(row, middle, volts, 1.0) for row, middle, volts in rows])


def tabulate_health(source: RawRecording, health: Health) -> pd.DataFrame:
    """One row an electrode of the layout: electrode, row, col, noise_uv and status; missing ones last."""
    status = np.select([health.dead, health.saturated, health.noisy], ["dead", "saturated", "noisy"], "works")
    columns = {"electrode": source.names, "row": source.row, "col": source.col, "noise_uv": health.noise_uv}
    missing = list_missing(source)
    places = electrode_labels(source.layout) if missing else {}
    lacking = [(name, *places[name], np.nan, "missing") for name in missing]
    there = pd.DataFrame(columns | {"status": status})
    return pd.concat([there, pd.DataFrame(lacking, columns=there.columns)], ignore_index=True) if lacking else there


def _stands_at_rail(row: np.ndarray, sampling_rate_hz: int) -> bool:
    """Whether an electrode stays at its largest or smallest value for as long as only a saturated amplifier does."""
    low, high = int(row.min()), int(row.max())
    extreme = (row == low) | (row == high)
    if high - low < RAIL_COUNTS or extreme.mean() < RAIL_FRACTION:
        return False
    borders = np.flatnonzero(np.diff(np.concatenate([[0], extreme.view(np.int8), [0]])))
    return bool((borders[1::2] - borders[::2]).max() >= max(RAIL_SAMPLES, RAIL_S * sampling_rate_hz))


def list_missing(source: RawRecording) -> list[str]:
    """Electrodes of the layout that the file has no channel for; none of a layout that varies."""
    there = set(source.names)
    if not is_known(source.layout):
        return []
    return [label for label in electrode_labels(source.layout) if label not in there]


def check_electrodes(name: str, source: RawRecording, references: int) -> Finding:
    """Whether all electrodes of the layout are there; as many as there are references may be missing."""
    missing = list_missing(source)
    found = f"{source.n_electrodes} of the {source.n_electrodes + len(missing)} electrodes of {source.layout}"
    if not missing:
        return Finding(FINE, name, found)
    lacking = f"{found}; missing: {_show(missing)}"
    if len(missing) <= references:
        return Finding(FINE, name, f"{lacking}: the reference takes its place")
    return Finding(
        DOUBTFUL,
        name,
        lacking,
        "Missing electrodes count as silent. Export all of them, or the same ones in every recording of every class: "
        "otherwise which are missing may tell the class.",
    )


def check_health(name: str, source: RawRecording, health: Health) -> list[Finding]:
    """What is wrong with electrodes that are there."""
    looked = f"in the first {health.stop_s:.3g} s"
    if health.dead.all():
        remedy = "Check the amplifier and the export, and record again."
        return [Finding(WRONG, name, f"no electrode records anything {looked}", remedy)]
    findings = []
    for kind, (rule, remedy) in FAILING.items():
        failing = getattr(health, kind)
        if failing.any():
            what = f"{kind} electrodes {looked} ({rule}): {_show(source.names[failing])}"
            findings.append(Finding(DOUBTFUL, name, what, remedy))
    return findings + _check_baseline(name, source, health, looked)


def _check_baseline(name: str, source: RawRecording, health: Health, looked: str) -> list[Finding]:
    good = ~(health.dead | health.saturated | health.noisy)
    if not good.any():
        return []
    findings = []
    low, high = USUAL_UV
    noise_uv = float(np.median(health.centred_noise_uv[good]))
    if not low <= noise_uv <= high:
        what = f"noise of {show_uv(noise_uv)} {looked}; {low:g} to {high:g} µV is usual"
        remedy = "Check that the gain in the file is the amplifier's, and that the culture was connected."
        findings.append(Finding(DOUBTFUL, name, what, remedy))
    shifted = good & (np.abs(health.offset_uv) > SHIFTED * health.centred_noise_uv)
    if shifted.any():
        largest = health.offset_uv[shifted][np.abs(health.offset_uv[shifted]).argmax()]
        what = (
            f"baseline away from 0 µV {looked} by more than the noise (up to {show_uv(largest)}) on {shifted.sum()} of "
            f"{len(shifted)} electrodes: {_show(source.names[shifted])}"
        )
        remedy = "Thresholds are measured from 0 µV, so spikes are missed there. Export a filtered stream (h5.stream)."
        findings.append(Finding(DOUBTFUL, name, what, remedy))
    return findings


def show_uv(value: float) -> str:
    """A voltage in words, with three digits."""
    return f"{value:.3g} µV" if abs(value) < 1000 else f"{value / 1000:.3g} mV"


def _show(names) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(map(str, names[:MOST_NAMES])) + more
