"""Temporal convolution over population channels: minutes to train, whatever the grid.

It sees :func:`mea.networks.channels.compute_population_channels`: how many electrodes are active in each bin, how
similar they are, how long the intervals between their spikes are; nothing of single electrodes or places. Four
convolutions over time look for what happens within some seconds; the mean, the standard deviation and the maximum of
what they find over the chunk decide. Take it for a second opinion that learns from nothing but the class, with chunks
long enough to hold bursts (split.chunk_s of 10 s and more).
"""

from torch import Tensor, nn

from mea.models.network_model import FoldPlan, NetworkModel
from mea.models.params import TcnParams
from mea.models.spec import ModelSpec
from mea.networks.channels import POPULATION, PopulationView
from mea.networks.config import TrainingConfig
from mea.networks.layers import convolve_time, pool_time
from mea.networks.tasks import Classification

WIDTH = 32
DROPOUT = 0.5
WEIGHT_DECAY = 0.1


class TcnModel(NetworkModel):
    """One temporal convolutional network an inner fold, and two of the whole training side."""

    name = "tcn"
    Params = TcnParams

    @classmethod
    def make_plan(cls, params: TcnParams) -> FoldPlan:
        """Bags of chunks; a network an inner fold, and two of the whole training side."""
        task = Classification(label_smoothing=0.05, bag_size=4, bags_per_recording=3)
        return FoldPlan(task, one_per_inner_fold=True, n_refits=2, cache_inputs=True)

    @classmethod
    def make_view(cls, params: TcnParams) -> PopulationView:
        """Population channels in bins."""
        return PopulationView(params.bin_ms)

    @classmethod
    def make_config(cls, params: TcnParams, seed: int) -> TrainingConfig:
        """AdamW along a cosine, early stopping."""
        return TrainingConfig.from_params(params, seed, weight_decay=WEIGHT_DECAY, lr_schedule="cosine")

    @classmethod
    def build_network(cls, spec: ModelSpec) -> nn.Module:
        """Whatever the grid."""
        return TcnNetwork(len(spec.labels))


class TcnNetwork(nn.Module):
    """(B, 22, time) → (B, n_labels) logits.

    Parameters
    ----------
    n_labels
        Number of classes.
    """

    def __init__(self, n_labels: int):
        super().__init__()
        self.scale = nn.BatchNorm1d(len(POPULATION), affine=False)  # what is common in the training recordings
        self.layers = nn.Sequential(
            convolve_time(len(POPULATION), WIDTH, 5, stride=2),
            convolve_time(WIDTH, WIDTH, 5, stride=2),
            convolve_time(WIDTH, 2 * WIDTH, 3, dilation=2),
            convolve_time(2 * WIDTH, 2 * WIDTH, 3, dilation=4),
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(3 * 2 * WIDTH, n_labels)

    def forward(self, chunk: Tensor) -> Tensor:
        """(B, 22, time) → (B, n_labels) logits."""
        return self.head(self.dropout(self.compute_features(chunk)))

    def compute_features(self, chunk: Tensor) -> Tensor:
        """(B, 22, time) → (B, 192): the input of the head."""
        return pool_time(self.layers(self.scale(chunk)))  # (B, 64, time / 4)
