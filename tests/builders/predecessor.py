"""The predecessor, literally: what the notebook computed, step by step, in float64. Slow on purpose.

It imports nothing of ``mea`` and shares no idea with it, so that agreement to the bit means something.
"""

import numpy as np
import torch
from scipy.signal import find_peaks


def convert_to_microvolts(raw: np.ndarray, zero: int, gain_v: float) -> np.ndarray:
    """(n,) counts of one electrode to (n,) float64 µV; ``gain_v`` is ConversionFactor * 10.0**Exponent."""
    return ((raw.astype(np.float64) - float(zero)) * gain_v) * 1e6


def find_threshold(x: np.ndarray, factor: float = 5.0) -> float:
    """The peak height of one electrode, µV; NaN for no samples."""
    if len(x) == 0:
        return float("nan")
    return float(np.median(np.abs(x) / 0.6745) * factor)


def find_all_peaks(x: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Maxima and minima at least as high as the threshold: their samples in time order, and their heights."""
    up, up_found = find_peaks(x, height=threshold, distance=1)
    down, down_found = find_peaks(-x, height=threshold, distance=1)
    times = np.concatenate([up, down])
    heights = np.concatenate([up_found["peak_heights"], down_found["peak_heights"]])
    order = np.argsort(times, kind="stable")
    return times[order], heights[order]


def group_peaks(times: np.ndarray, heights: np.ndarray, window: int) -> list[int]:
    """The best peak of each group, by the greedy rule."""
    best_peaks = []
    opener = 0
    while opener < len(times):
        group = [opener]
        while group[-1] + 1 < len(times) and times[group[-1] + 1] - times[opener] <= window:
            group.append(group[-1] + 1)
        best = group[0]
        for member in group:
            if abs(heights[member]) > abs(heights[best]):
                best = member
        best_peaks.append(int(times[best]))
        following = group[-1] + 1
        while following < len(times) and times[following] <= times[best] + window:
            following += 1
        opener = following
    return best_peaks


def clean_electrode(x: np.ndarray, rate: int, factor: float = 5.0) -> tuple[np.ndarray, list[int], float]:
    """One electrode's (n,) µV to its cleaned (n,) µV, its best peaks and its threshold."""
    threshold = find_threshold(x, factor)
    times, heights = find_all_peaks(x, threshold)
    npulse = int(0.001 * rate)
    peaks = group_peaks(times, heights, 3 * npulse)
    cleaned = np.zeros_like(x)
    for peak in peaks:
        first = int(max(0, peak - 0.6 * npulse))
        last = int(min(len(x), peak + 1.4 * npulse))
        cleaned[first : last + 1] = x[first : last + 1]
    return cleaned, peaks, threshold


def clean_recording(counts, zero, gain_v, row, col, rows, cols, rate, factor=5.0):
    """All electrodes: the dense float64 array (rows, cols, samples), the best peaks and threshold of each electrode."""
    array = np.zeros((rows, cols, counts.shape[1]))
    peaks, thresholds = [], []
    for electrode in range(len(counts)):
        x = convert_to_microvolts(counts[electrode], zero[electrode], gain_v[electrode])
        array[row[electrode], col[electrode]], found, threshold = clean_electrode(x, rate, factor)
        peaks.append(found)
        thresholds.append(threshold)
    return array, peaks, np.array(thresholds)


class Network(torch.nn.Module):
    """The predecessor's network: (B, 1, 12, 12, T) float32 to (B, 2) logits, with the reshape before the LSTM."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv3d(1, 16, 3, padding=1)
        self.conv2 = torch.nn.Conv3d(16, 32, 3, padding=1)
        self.conv3 = torch.nn.Conv3d(32, 64, 3, padding=1)
        self.pool = torch.nn.MaxPool3d(2)
        self.lstm = torch.nn.LSTM(64, 128, batch_first=True)
        self.linear = torch.nn.Linear(128, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        x = self.pool(torch.relu(self.conv3(x)))
        x = x.reshape(x.shape[0], -1, 64)  # not transposed: a step holds 64 successive times of one feature map
        _, (hidden, _) = self.lstm(x)
        return self.linear(hidden[-1])
