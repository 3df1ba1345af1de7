"""The predecessor's network: three 3D convolutions over the grid and time, then an LSTM over time."""

from typing import Any

from torch import Tensor, nn

from mea.networks.chunks import View
from mea.networks.recipes import PLAIN
from mea.networks.silence import convolve_loud_times, convolve_spikes
from mea.runtime.errors import MeaError

POOLED = 8  # three poolings by 2, in rows, columns and time
RECIPE = PLAIN


def make_view(train: dict[str, Any]) -> View:
    """What the parameters of the training say a chunk looks like."""
    return View(train["input"], train["bin_ms"], train["bin"], train["scale"])


def build_network(train: dict[str, Any], rows: int, cols: int, n_labels: int) -> nn.Module:
    """With fresh weights."""
    return CnnLstm(rows, cols, n_labels, train["sequence"], train["silence"])


def fits_grid(own: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a network for one grid, (rows, cols), takes recordings of another."""
    return tuple(size // POOLED for size in own) == tuple(size // POOLED for size in other)


class CnnLstm(nn.Module):
    """3D CNN-LSTM on chunks of the cleaned array.

    With ``sequence="reshape"`` and a (1, 12, 12, 30000) chunk this is the predecessor's network to the bit: its
    feature maps (B, 64, 1, 1, 3750) were *reshaped* to (B, 3750, 64), so that one LSTM step holds 64 successive
    times of one feature map. ``"transpose"`` makes a step what one would expect: 64 features at one time.

    Takes seconds per chunk at the full rate on a CPU, about a hundredth of that on 1 ms bins.

    Parameters
    ----------
    rows, cols
        Size of the grid, at least 8 × 8.
    n_labels
        Number of classes.
    sequence
        ``"reshape"`` or ``"transpose"``.
    silence
        ``"computed"``, as the predecessor did, or ``"skipped"``: the same up to rounding (:mod:`mea.networks.silence`).
    """

    def __init__(self, rows: int, cols: int, n_labels: int, sequence: str, silence: str = "computed"):
        super().__init__()
        if min(rows, cols) < POOLED:
            raise MeaError(f"grid of {rows} × {cols}: cnn_lstm pools three times by 2 and needs at least 8 × 8.")
        self.sequence, self.silence = sequence, silence
        self.conv1 = nn.Conv3d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv3d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv3d(32, 64, 3, padding=1)
        self.pool = nn.MaxPool3d(2)
        self.features = 64 * (rows // POOLED) * (cols // POOLED)
        self.lstm = nn.LSTM(self.features, 128, batch_first=True)
        self.head = nn.Linear(128, n_labels)

    def forward(self, chunk: Tensor) -> Tensor:
        """(B, 1, rows, cols, time) → (B, n_labels) logits."""
        return self.head(self.describe(chunk))

    def describe(self, chunk: Tensor) -> Tensor:
        """(B, 1, rows, cols, time) → (B, 128): what the head decides by."""
        if self.silence == "skipped":
            weight, bias = self.conv1.parameters()
            x, loud = convolve_spikes(chunk, weight, bias)
            x = convolve_loud_times(self._reduce, x, bias.relu(), loud.any((1, 2)))
        else:
            x = self._reduce(self.pool(self.conv1(chunk)).relu())  # (B, 64, rows // 8, cols // 8, time // 8)
        steps = x.shape[-1]
        if self.sequence == "reshape":
            x = x.reshape(len(x), steps, self.features)
        else:
            x = x.permute(0, 4, 1, 2, 3).flatten(2)  # (B, time // 8, features)
        _, (hidden, _) = self.lstm(x)
        return hidden[-1]

    def _reduce(self, x: Tensor) -> Tensor:
        # Pooling before ReLU gives the same bits, on an eighth of the values.
        x = self.pool(self.conv2(x)).relu()
        return self.pool(self.conv3(x)).relu()
