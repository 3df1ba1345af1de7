"""What a simulated culture does: its traits, and the spikes it fires. No voltages here, so thousands can be drawn."""

from dataclasses import dataclass, replace

import numpy as np

REFRACTORY_S = 0.002
MARGIN_S = 0.002
Generators = tuple[np.random.Generator, np.random.Generator, np.random.Generator]
SMALLEST_UV, LARGEST_UV = 30.0, 200.0
CULTURE_WEIGHT, RECORDING_WEIGHT = 0.8, 0.6


@dataclass(frozen=True)
class Traits:
    """How one culture fires in one recording, and how the rig sees it; ``n`` electrodes.

    Attributes
    ----------
    amplitude_uv
        (n,) depth of a typical spike.
    width
        (n,) length of the waveform, relative to the usual one.
    polarity
        (n,) 1 where spikes go down, as most do, and -1 where they go up, as near axons.
    hump
        Height of the waveform's second phase, relative to the depth of its trough.
    noise_uv
        (n,) standard deviation of the noise.
    background_hz
        (n,) rate of spikes outside bursts; 0 where no neuron is near.
    delay_s
        (n,) how long after its start a burst reaches the electrode.
    burst_hz
        Network bursts per second.
    burst_s
        Typical length of a burst.
    spikes_hz
        (n,) mean rate within a burst, of an electrode that takes part; 0 where no neuron is near.
    participation
        Probability that an active electrode takes part in a burst.
    """

    amplitude_uv: np.ndarray
    width: np.ndarray
    polarity: np.ndarray
    hump: float
    noise_uv: np.ndarray
    background_hz: np.ndarray
    delay_s: np.ndarray
    burst_hz: float
    burst_s: float
    spikes_hz: np.ndarray
    participation: float


@dataclass(frozen=True)
class SimulatedSpikes:
    """Every spike of one recording, sorted by (electrode, time), and the bursts behind them.

    Attributes
    ----------
    electrode
        (m,) int.
    time_s
        (m,) float64 time of the trough.
    amplitude_uv
        (m,) float64 depth of the trough.
    burst_start_s, burst_s
        (k,) float64 start and length of each network burst.
    """

    electrode: np.ndarray
    time_s: np.ndarray
    amplitude_uv: np.ndarray
    burst_start_s: np.ndarray
    burst_s: np.ndarray


def draw_traits(
    row: np.ndarray,
    col: np.ndarray,
    class_shift: float,
    recording_variance: float,
    generators: Generators,
) -> Traits:
    """Draw the traits of one recording: a part common to the lab, one of its culture, and one of its own.

    Parameters
    ----------
    row, col
        (n,) place of each electrode on the grid.
    class_shift
        Where the class stands: 0 in the middle, -0.5 and 0.5 for two clearly different classes. It acts on burst
        rate, length, firing and participation and on the background, and on nothing that belongs to the rig.
    recording_variance
        How far recordings stand apart: 0 gives all of them the same traits.
    generators
        Of the lab (the same for all recordings), of the culture, and of the recording.
    """
    mixed = _draw_fields(len(row), recording_variance, generators)
    own = _draw_offsets(recording_variance, generators)
    focus_row = (row.min() + row.max()) / 2 + 2.5 * own["focus_row"]
    focus_col = (col.min() + col.max()) / 2 + 2.5 * own["focus_col"]
    distance = np.hypot(row - focus_row, col - focus_col)
    active = mixed["place"] > -0.25 + 0.2 * own["active"]
    liveliness = np.where(active, np.exp(0.6 * mixed["rate"]) * (0.5 + np.exp(-((distance / 4) ** 2))), 0.0)
    amplitude = 60 * np.exp(0.2 * mixed["amplitude"] + 0.4 * own["gain"])
    odds = np.exp(0.6 + 0.8 * class_shift + 0.35 * own["participation"])
    return Traits(
        amplitude_uv=np.clip(amplitude, SMALLEST_UV, LARGEST_UV),
        width=np.exp(0.1 * mixed["width"] + 0.2 * own["width"]),
        polarity=np.where(mixed["polarity"] < own["polarity"] - 1, -1.0, 1.0),
        hump=min(0.8, 0.3 * np.exp(0.6 * own["hump"])),
        noise_uv=np.clip(4.6 * np.exp(0.05 * mixed["noise"] + 0.08 * own["noise"]), 4.0, 6.0),
        background_hz=liveliness * np.exp(-0.1 - 0.35 * class_shift + 0.3 * own["background"]),
        delay_s=0.003 * distance,
        burst_hz=0.7 * np.exp(0.4 * class_shift + 0.25 * own["burst_rate"]),
        burst_s=0.2 * np.exp(-0.45 * class_shift + 0.25 * own["burst_length"]),
        spikes_hz=40 * np.sqrt(liveliness) * np.exp(0.35 * class_shift + 0.25 * own["burst_firing"]),
        participation=odds / (1 + odds),
    )


def _draw_fields(n: int, recording_variance: float, generators: Generators) -> dict[str, np.ndarray]:
    """One standard normal value per electrode and trait; a small ``recording_variance`` makes recordings similar."""
    names = ("place", "rate", "amplitude", "width", "polarity", "noise")
    lab, culture, recording = (generator.standard_normal((len(names), n)) for generator in generators)
    own = CULTURE_WEIGHT * culture + RECORDING_WEIGHT * recording
    return dict(zip(names, (lab + recording_variance * own) / np.hypot(1, recording_variance)))


def _draw_offsets(recording_variance: float, generators: Generators) -> dict[str, float]:
    """One normal value per trait of the whole recording, of standard deviation ``recording_variance``."""
    rig = ("focus_row", "focus_col", "active", "gain", "width", "polarity", "hump", "noise")
    names = (*rig, "background", "burst_rate", "burst_length", "burst_firing", "participation")
    _, culture, recording = (generator.standard_normal(len(names)) for generator in generators)
    return dict(zip(names, recording_variance * (CULTURE_WEIGHT * culture + RECORDING_WEIGHT * recording)))


def draw_spikes(traits: Traits, duration_s: float, generator: np.random.Generator) -> SimulatedSpikes:
    """Draw the spikes of one recording: background as a Poisson process, network bursts, a refractory period.

    Every spike is at least :data:`MARGIN_S` from both ends, so that its waveform fits.
    """
    start, length = _draw_bursts(traits, duration_s, generator)
    electrode, time = _fill_bursts(traits, start, length, generator)
    quiet = generator.poisson(traits.background_hz * duration_s)
    electrode = np.concatenate([electrode, np.repeat(np.arange(len(quiet)), quiet)])
    time = np.concatenate([time, generator.uniform(0, duration_s, quiet.sum())])
    inside = (time >= MARGIN_S) & (time <= duration_s - MARGIN_S)
    electrode, time = _drop_refractory(electrode[inside], time[inside])
    amplitude = traits.amplitude_uv[electrode] * (1 + 0.08 * generator.standard_normal(len(time)))
    return SimulatedSpikes(electrode, time, np.clip(amplitude, SMALLEST_UV, LARGEST_UV), start, length)


def silence_traits(traits: Traits) -> Traits:
    """The same rig and dish, without a living neuron."""
    nothing = np.zeros_like(traits.background_hz)
    return replace(traits, background_hz=nothing, spikes_hz=nothing)


def _draw_bursts(traits: Traits, duration_s: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths. Intervals follow a gamma distribution: more regular than chance, as networks are."""
    shape = 4
    many = int(4 * duration_s * traits.burst_hz) + 20
    interval = generator.gamma(shape, 1 / (shape * traits.burst_hz), many)
    start = np.cumsum(interval) - generator.uniform() * interval[0]
    length = traits.burst_s * np.exp(0.2 * generator.standard_normal(many))
    return start[start < duration_s], length[start < duration_s]


def _fill_bursts(traits: Traits, start, length, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Electrode and time of every spike in a burst: a steep rise, a slow decay, later the farther from the focus."""
    shape = (len(start), len(traits.spikes_hz))
    takes_part = generator.uniform(size=shape) < traits.participation
    count = generator.poisson(takes_part * length[:, None] * traits.spikes_hz)
    burst, electrode = (np.repeat(index.ravel(), count.ravel()) for index in np.indices(shape))
    phase = generator.beta(1.5, 3, len(burst))
    return electrode, start[burst] + traits.delay_s[electrode] + length[burst] * phase


def _drop_refractory(electrode: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort by (electrode, time) and drop every spike that follows a kept one of its electrode too closely."""
    order = np.lexsort((time, electrode))
    electrode, time = electrode[order], time[order]
    keep = np.ones(len(time), bool)
    last_electrode, last_time = -1, -np.inf
    for position, (place, moment) in enumerate(zip(electrode.tolist(), time.tolist())):
        if place == last_electrode and moment - last_time < REFRACTORY_S:
            keep[position] = False
        else:
            last_electrode, last_time = place, moment
    return electrode[keep], time[keep]
