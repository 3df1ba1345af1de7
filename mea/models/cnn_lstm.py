"""The predecessor's network, a 3D CNN-LSTM: three 3D convolutions over the grid and time, then an LSTM over time.

It sees the cleaned array itself, (1, rows, cols, time): every sample, or bins of it. Take it to compare with the
predecessor; with bins of 20 ms it trains on a laptop. To do well on real recordings it needs more: chunks that hold
bursts, what each electrode's intervals are (``input: channels``), and examples of several chunks (``examples: bags``).
"""

import torch
from torch import Tensor, nn

from mea.arrays.events import SpikeEvents
from mea.models.network_model import FoldPlan, NetworkModel
from mea.models.params import CnnLstmParams
from mea.models.spec import ModelSpec
from mea.networks.channels import ELECTRODE, GridView
from mea.networks.chunks import ArrayView, ChunkView
from mea.networks.config import TrainingConfig
from mea.networks.silence import convolve_loud_times, convolve_spikes
from mea.networks.tasks import Classification
from mea.runtime.errors import MeaError

POOLED = 8  # three poolings by 2, in rows, columns and time
# Of bags; chosen by inner folds of charlesworth2015 (docs/notebook.md).
LABEL_SMOOTHING, WEIGHT_DECAY, DROPOUT, SILENCED = 0.05, 0.05, 0.5, 0.2


class CnnLstmModel(NetworkModel):
    """One 3D CNN-LSTM a fold."""

    name = "cnn_lstm"
    Params = CnnLstmParams

    @classmethod
    def make_plan(cls, params: CnnLstmParams) -> FoldPlan:
        """One network; from bags of chunks, one an inner fold."""
        if params.examples == "chunks":
            return FoldPlan()
        task = Classification(label_smoothing=LABEL_SMOOTHING, bag_size=4, bags_per_recording=3)
        return FoldPlan(task, one_per_inner_fold=True)

    @classmethod
    def make_view(cls, params: CnnLstmParams) -> ChunkView:
        """The array, every sample or bins; or channels of each electrode."""
        if params.input == "channels":
            return GridView(params.bin_ms, POOLED)
        return ArrayView(params.input, params.bin_ms, params.bin, params.scale)

    @classmethod
    def make_config(cls, params: CnnLstmParams, seed: int) -> TrainingConfig:
        """Adam at a constant learning rate; for bags AdamW, whose learning rate rises, then falls along a cosine."""
        if params.examples == "chunks":
            return TrainingConfig.from_params(params, seed)
        return TrainingConfig.from_params(params, seed, weight_decay=WEIGHT_DECAY, lr_schedule="cosine")

    @classmethod
    def build_network(cls, spec: ModelSpec) -> nn.Module:
        """For the grid of the training recordings."""
        params, size = spec.params, (spec.rows, spec.cols, len(spec.labels))
        if params.input == "channels":
            return ChannelCnnLstm(*size, params.sequence, augmented=params.examples == "bags")
        return CnnLstmNetwork(*size, params.sequence, params.silence)

    def check_input(self, events: SpikeEvents) -> str:
        """A grid of other size after pooling, or a recording that its view cannot show."""
        own, other = (self.spec.rows, self.spec.cols), (events.rows, events.cols)
        if [size // POOLED for size in own] != [size // POOLED for size in other]:
            return f"a grid of {events.rows} × {events.cols} does not fit the network"
        return super().check_input(events)


class CnnLstmNetwork(nn.Module):
    """3D CNN-LSTM on chunks of the cleaned array.

    With ``sequence="reshape"`` and a (1, 12, 12, 30000) chunk this is the predecessor's network to the bit: its
    feature maps (B, 64, 1, 1, 3750) were *reshaped* to (B, 3750, 64), so that one LSTM step holds 64 successive
    times of one feature map. ``"transpose"`` makes a step what one would expect: 64 features at one time.

    It takes seconds per chunk at the full sampling rate on a CPU, about a hundredth of that on 1 ms bins.

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
    channels
        Of the input; the array has one.
    """

    def __init__(
        self, rows: int, cols: int, n_labels: int, sequence: str, silence: str = "computed", channels: int = 1
    ):
        super().__init__()
        if min(rows, cols) < POOLED:
            raise MeaError(f"grid of {rows} × {cols}: cnn_lstm pools three times by 2 and needs at least 8 × 8.")
        self.sequence, self.silence = sequence, silence
        self.conv1 = nn.Conv3d(channels, 16, 3, padding=1)
        self.conv2 = nn.Conv3d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv3d(32, 64, 3, padding=1)
        self.pool = nn.MaxPool3d(2)
        self.features = 64 * (rows // POOLED) * (cols // POOLED)
        self.lstm = nn.LSTM(self.features, 128, batch_first=True)
        self.head = nn.Linear(128, n_labels)

    def forward(self, chunk: Tensor) -> Tensor:
        """(B, 1, rows, cols, time) → (B, n_labels) logits."""
        return self.head(self.compute_features(chunk))

    def compute_features(self, chunk: Tensor) -> Tensor:
        """(B, 1, rows, cols, time) → (B, 128): the input of the head."""
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


class ChannelCnnLstm(CnnLstmNetwork):
    """The same network on channels of each electrode: (B, 12, rows, cols, time), the last 1 where there is one.

    Channels are standardised over the training chunks; where there is no electrode they are 0, the mean.

    Parameters
    ----------
    rows, cols, n_labels, sequence
        As for :class:`CnnLstmNetwork`.
    augmented
        Whether, in training, the grid is mirrored at random, electrodes are silenced at random, and units drop out
        before the last layer: so that it learns neither single electrodes nor their order.
    """

    def __init__(self, rows: int, cols: int, n_labels: int, sequence: str, augmented: bool):
        super().__init__(rows, cols, n_labels, sequence, channels=len(ELECTRODE) + 1)
        self.scale = nn.BatchNorm3d(len(ELECTRODE) + 1, affine=False)
        self.dropout = nn.Dropout(DROPOUT if augmented else 0.0)
        self.augmented = augmented

    def forward(self, chunk: Tensor) -> Tensor:
        """(B, 12, rows, cols, time) → (B, n_labels) logits."""
        return self.head(self.dropout(self.compute_features(chunk)))

    def compute_features(self, chunk: Tensor) -> Tensor:
        """(B, 12, rows, cols, time) → (B, 128): the input of the head."""
        scaled = self.scale(chunk) * chunk[:, -1:]
        return super().compute_features(augment(scaled) if self.training and self.augmented else scaled)


def augment(chunk: Tensor) -> Tensor:
    """(B, c, rows, cols, time), mirrored along rows, columns and, on a square grid, the diagonal; electrodes silenced.

    All chunks of a batch are mirrored alike; each has electrodes of its own silenced, set to the mean, 0.
    """
    mirrored = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
    chunk = chunk.flip(mirrored) if mirrored else chunk
    if chunk.shape[2] == chunk.shape[3] and torch.rand(()) < 0.5:
        chunk = chunk.transpose(2, 3)
    kept = torch.rand(len(chunk), 1, *chunk.shape[2:4], 1, device=chunk.device) >= SILENCED
    return chunk * kept
