"""Which recordings are simulated: the training set, and new recordings, some of them unusual."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

LABELS = ("w_oMNPs", "withMNPs")
FIRST_PLATING = datetime(2024, 3, 4)
AGE_DAYS = 21
ODD: dict[str, dict[str, Any]] = {  # how each unusual new recording differs
    "slow": {"sampling_rate_hz": 10_000},
    "small": {"layout": "60MEA200/30iR-Ti"},
    "truncated": {},
    "noise": {"lifeless": True},
    "half": {"gain": 0.5},
    "dead": {"dead_fraction": 1 / 3},
    "silent": {"dead_fraction": 1.0},
}


@dataclass(frozen=True)
class Plan:
    """One recording to simulate. Its spikes and samples follow from this and a duration, and from nothing else.

    Attributes
    ----------
    recording, label, culture, batch
        Who it is; ``recording`` is its file's stem.
    start
        ISO 8601.
    seed
        Of the whole simulation.
    key
        Numbers of batch, class, culture and recording: with ``seed`` they choose the random streams.
    class_shift, recording_variance
        As in :func:`mea.simulation.simulated_network.draw_traits`.
    sampling_rate_hz, layout
        What the rig writes.
    lifeless
        No neuron is alive: the rig's noise is all there is.
    gain
        What the amplifier does to all voltages, unknown to the file; 1 where it is set as the file says.
    dead_fraction
        Fraction of the electrodes, chosen at random, that measure nothing: every count is that of 0 V.
    """

    recording: str
    label: str
    culture: str
    batch: str
    start: str
    seed: int
    key: tuple[int, int, int, int]
    class_shift: float
    recording_variance: float
    sampling_rate_hz: int = 25_000
    layout: str = "120MEA200/30iR-Ti"
    lifeless: bool = False
    gain: float = 1.0
    dead_fraction: float = 0.0


def plan_training(
    seed: int, batches: int, cultures: int, recordings: int, class_effect: float, recording_variance: float
) -> list[Plan]:
    """The recordings to learn from: ``cultures`` of each class in every batch, each recorded ``recordings`` times."""
    keys = np.ndindex(batches, len(LABELS), cultures, recordings)
    return [_plan_recording(seed, key, class_effect, recording_variance) for key in keys]


def plan_new(seed: int, batch: int, class_effect: float, recording_variance: float) -> dict[str, Plan]:
    """Recordings the model has not met, from batch number ``batch``: one of each class, and one of each :data:`ODD`.

    The stage truncates the file of ``truncated`` after it was written. The unusual ones have their kind in their names.
    """
    keys = {"plain": (batch, 0, 0, 0), "exposed": (batch, 1, 0, 0)}
    plans = {name: _plan_recording(seed, key, class_effect, recording_variance) for name, key in keys.items()}
    for number, (name, what) in enumerate(ODD.items(), start=1):
        plan = _plan_recording(seed, (batch, number % 2, number, 0), class_effect, recording_variance)
        plans[name] = replace(plan, recording=f"{plan.recording}_{name}", **what)
    return plans


def _plan_recording(seed: int, key: tuple[int, ...], class_effect: float, recording_variance: float) -> Plan:
    batch, label, culture, recording = key
    plating = FIRST_PLATING + timedelta(weeks=batch)
    # The time of day is drawn, so that the order of the recordings says nothing about the class.
    delay_s = int(open_stream(seed, 4, *key).integers(9 * 3600, 17 * 3600))
    start = plating + timedelta(days=AGE_DAYS + 2 * recording, seconds=delay_s)
    name = f"{plating:%Y-%m-%d}_{LABELS[label]}_{culture + 1}"
    return Plan(
        recording=f"{start:%Y-%m-%dT%H-%M-%S}_{LABELS[label]}_{culture + 1}",
        label=LABELS[label],
        culture=name,
        batch=f"{plating:%Y-%m-%d}",
        start=start.isoformat(),
        seed=seed,
        key=(batch, label, culture, recording),
        class_shift=class_effect * (label - 0.5),
        recording_variance=recording_variance,
    )


def open_stream(seed: int, *key: int) -> np.random.Generator:
    """A stream of random numbers of its own for every key, whatever else is drawn before, after or beside it."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
