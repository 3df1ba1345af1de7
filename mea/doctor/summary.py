"""What the doctor prints and writes of each recording: a row of its table, and an entry of its JSON file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mea.doctor.electrodes import show_uv
from mea.doctor.files import Examined
from mea.doctor.findings import Finding, format_findings
from mea.recordings.recording import LabelledRecording
from mea.runtime.tables import draw_table

HEADER = ("recording", "format", "layout", "electrodes", "sampling rate", "length", "noise", "label", "label from")
SOURCE_KEYS = ("rig", "format", "layout", "sampling_rate_hz", "duration_s", "start", "stream", "n_electrodes")


@dataclass(frozen=True)
class Part:
    """What is printed under one heading: a table, perhaps, and findings."""

    title: str
    table: str
    findings: list[Finding]

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [self.title, self.table, format_findings(self.findings)])) + "\n"


def format_rigs(examined: Sequence[Examined]) -> str:
    """One line: which rigs and which of their programs the recordings are from, the most frequent first."""
    sources = [one.result.source for one in examined if isinstance(one.result, LabelledRecording)]
    rigs = Counter(source.rig or f"a rig that is not named ({source.format})" for source in sources)
    if not rigs:
        return "RIG  none: no recording could be read"
    return "RIG  " + "; ".join(f"{name} (recordings: {count})" for name, count in rigs.most_common())


def format_recordings(examined: Sequence[Examined]) -> str:
    """One line a recording: what it is."""
    return draw_table(HEADER, [_build_row(one) for one in examined], markdown=False)


def _build_row(one: Examined) -> list[str]:
    recording = one.result
    if not isinstance(recording, LabelledRecording):
        return [recording.recording, "cannot be read", *[""] * (len(HEADER) - 2)]
    source = recording.source
    return [
        recording.recording,
        source.format,
        source.layout,
        one.electrodes,
        f"{source.sampling_rate_hz} Hz" if source.sampling_rate_hz else "-",
        f"{source.duration_s:.4g} s",
        show_uv(one.noise_uv) if np.isfinite(one.noise_uv) else "-",
        recording.label or "none",
        one.label_from if recording.label else "-",
    ]


def build_entry(one: Examined) -> dict[str, Any]:
    """One recording for the JSON file."""
    place = {"archive": one.archive, "member": one.member, "used": one.used}
    recording = one.result
    if not isinstance(recording, LabelledRecording):
        return {"recording": recording.recording, **place}
    source = recording.source
    who = {name: getattr(recording, name) for name in ("recording", "label", "culture", "batch")}
    values = {name: getattr(source, name) for name in SOURCE_KEYS}
    measured = {"noise_uv": one.noise_uv, "notes": list(source.notes)}
    return {**who, "label_from": one.label_from, **place, **values, **measured}
