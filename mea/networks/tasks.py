"""What a network learns: the loss of its outputs, how outputs are grouped, and what is logged."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, bincount
from torch.nn.functional import cross_entropy


class Task(Protocol):
    """What :mod:`mea.networks.loop` asks of a task."""

    @property
    def bag_size(self) -> int:
        """Chunks of one recording that make one training example; 0: every chunk is an example."""
        ...

    @property
    def bags_per_recording(self) -> float:
        """Examples an epoch, per training recording, where ``bag_size`` is above 0."""
        ...

    def group(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and targets of the examples of a batch, from those of its chunks."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor, training: bool) -> Tensor:
        """Mean loss of the examples."""
        ...

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """What is logged beside the loss."""
        ...

    def count_terms(self, targets: Tensor) -> int:
        """Of how many terms the loss is the mean."""
        ...


@dataclass(frozen=True)
class Classification:
    """Cross entropy of logits, (B, n_labels), and the number of each label, (B,).

    With ``bag_size`` chunks drawn from one recording, the output of an example is the mean of their logits: recordings
    are predicted in the same way. Both classes are drawn equally often (:class:`mea.networks.sampling.BagShuffle`).
    """

    label_smoothing: float = 0.0
    class_weight: tuple[float, ...] | None = None  # of each class; None: all alike
    bag_size: int = 0
    bags_per_recording: float = 1.5

    def group(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean logits of each bag, and its target."""
        if not self.bag_size:
            return outputs, targets
        return outputs.unflatten(0, (-1, self.bag_size)).mean(1), targets[:: self.bag_size]

    def loss(self, outputs: Tensor, targets: Tensor, training: bool) -> Tensor:
        """Labels are smoothed in training only."""
        smoothing = self.label_smoothing if training else 0.0
        if self.class_weight is None:
            return cross_entropy(outputs, targets, label_smoothing=smoothing)
        losses = cross_entropy(outputs, targets, label_smoothing=smoothing, reduction="none")
        return (losses * outputs.new_tensor(self.class_weight)[targets]).mean()

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Accuracy."""
        return {"accuracy": (outputs.argmax(1) == targets).float().mean()}

    def count_terms(self, targets: Tensor) -> int:
        """One an example."""
        return len(targets)


@dataclass(frozen=True)
class FeatureRegression:
    """Mean squared error of predicted features, (B, n_features), over those that are defined; others are NaN."""

    bag_size: int = 0
    bags_per_recording: float = 0.0

    def group(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Every chunk is an example."""
        return outputs, targets

    def loss(self, outputs: Tensor, targets: Tensor, training: bool) -> Tensor:
        """The same in training and validation."""
        defined = ~targets.isnan()
        return (outputs - targets)[defined].square().sum() / defined.sum().clamp(min=1)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """None: there is no class to be right about."""
        return {}

    def count_terms(self, targets: Tensor) -> int:
        """One a defined feature."""
        return int((~targets.isnan()).sum())


def average_logits(logits: Tensor, targets: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Mean logits of each recording over its chunks, and its target; chunks of recording ``k`` have number ``k``."""
    count = int(numbers.max()) + 1
    sums = logits.new_zeros(count, logits.shape[1]).index_add(0, numbers, logits)
    sizes = bincount(numbers, minlength=count)
    return sums / sizes[:, None], targets.new_zeros(count).index_copy(0, numbers, targets)


def count_units(task: Task, batch_size: int) -> int:
    """Training examples in a step: chunks, or bags of chunks."""
    return max(1, batch_size // (task.bag_size or 1))
