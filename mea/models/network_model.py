"""What networks that classify chunks share: the networks of a fold, and predictions by the mean of their logits."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from mea.arrays.events import SpikeEvents
from mea.models.base import Fit, Model, TrainingSide
from mea.models.spec import ModelSpec
from mea.networks.chunks import ChunkDataset, ChunkView
from mea.networks.config import TrainingConfig, TrainingRun
from mea.networks.curves import tabulate_curves
from mea.networks.devices import choose_device
from mea.networks.tasks import Classification
from mea.networks.trained import TrainedNetwork, fetch_network, load_network, run_network, save_network, set_weights
from mea.networks.training import train_network
from mea.runtime.errors import MeaError
from mea.splitting.aggregation import average_chunks, average_recordings


@dataclass(frozen=True)
class FoldPlan:
    """How the networks of a fold are trained.

    Attributes
    ----------
    task
        What they learn.
    one_per_inner_fold
        Whether a fold has a network for each inner fold, which chooses its epoch; else one, by the first inner fold.
    n_refits
        Further networks that learn from the whole training side, to the end: where batches are few, one more or less
        to learn from matters.
    cache_inputs
        Whether chunks stay in memory as they are shown: for a view that is costly to make and small to keep.
    """

    task: Classification = field(default_factory=Classification)
    one_per_inner_fold: bool = False
    n_refits: int = 0
    cache_inputs: bool = False


@dataclass(frozen=True)
class FoldNetwork:
    """One network of a fold, before it is trained.

    Attributes
    ----------
    number
        From 0; added to the seed, so that no two networks begin with the same weights.
    training, validation
        The chunks it learns from, and those that choose its epoch; none where it learns to the end.
    """

    number: int
    training: pd.DataFrame
    validation: pd.DataFrame


class NetworkModel(Model):
    """One network, or the mean of the logits of several; a subclass says which.

    Attributes
    ----------
    trained, networks
        What was trained; the same as networks in evaluation mode.
    """

    uses_torch = True
    trained: list[TrainedNetwork]
    networks: list[Any]

    @classmethod
    def make_plan(cls, params: Any) -> FoldPlan:
        """One network a fold, to which every chunk is an example."""
        return FoldPlan()

    @classmethod
    @abstractmethod
    def make_view(cls, params: Any) -> ChunkView:
        """How a chunk is shown to the network."""

    @classmethod
    @abstractmethod
    def make_config(cls, params: Any, seed: int) -> TrainingConfig:
        """How the network is trained."""

    @classmethod
    @abstractmethod
    def build_network(cls, spec: ModelSpec) -> nn.Module:
        """A network with fresh weights; ``compute_features`` is its input to the last layer."""

    @classmethod
    def fit(cls, data: TrainingSide, params: Any) -> Fit:
        """Train the networks of the fold, or take them from the cache."""
        planned = cls._plan_networks(data, params)
        spec, key = data.make_spec(params), make_training_key(cls.name, data, params)
        trained = [
            fetch_network(key | {"network": one.number}, cls.__module__, partial(cls._train, one, data, params))
            for one in planned
        ]
        model = cls.assemble(spec, trained)
        curves = pd.concat([one.curves for one in trained]).groupby(level=0).mean()
        return Fit(model, model._predict_oof(planned, data), tabulate_curves(curves.drop(columns="epoch").to_numpy()))

    @classmethod
    def _plan_networks(cls, data: TrainingSide, params: Any) -> list[FoldNetwork]:
        """The networks of a fold; ``params.validation`` may be ``test_fold``, which is the predecessor's leak."""
        if getattr(params, "validation", "nested") == "test_fold":
            return [FoldNetwork(0, data.chunks, data.test_chunks)]
        plan, inner = cls.make_plan(params), data.assign_inner_folds()
        if inner is None:  # nothing can choose the epoch: the whole training side, to the end
            return [FoldNetwork(number, data.chunks, data.chunks[:0]) for number in range(max(1, plan.n_refits))]
        count = int(inner.max()) + 1
        if not plan.one_per_inner_fold:
            return [FoldNetwork(0, data.chunks[inner != 0], data.chunks[inner == 0])]
        return [  # the last ones have numbers that no inner fold has
            FoldNetwork(number, data.chunks[inner != number], data.chunks[inner == number])
            for number in range(count + plan.n_refits)
        ]

    @classmethod
    def _train(
        cls, planned: FoldNetwork, data: TrainingSide, params: Any, checkpoint_folder: Path | None
    ) -> TrainedNetwork:
        config, plan = cls.make_config(params, data.seed), cls.make_plan(params)
        config = replace(config, seed=config.seed + planned.number)
        torch.manual_seed(config.seed)
        network, view = cls.build_network(data.make_spec(params)), cls.make_view(params)
        training, validation = (
            ChunkDataset(part, data.events, view, data.labels, plan.cache_inputs)
            for part in (planned.training, planned.validation)
        )
        title = f"fold {data.fold}" + (f", network {planned.number}" if plan.one_per_inner_fold else "")
        run = TrainingRun(title, data.fold, checkpoint_folder, data.live_folder)
        task = replace(plan.task, class_weight=weigh_classes(planned.training, data, params))
        return train_network(network, task, training, validation if len(validation) else None, config, run)

    @classmethod
    def assemble(cls, spec: ModelSpec, trained: list[TrainedNetwork]) -> Self:
        """The model that trained networks make."""
        model = cls(spec)
        model.trained = trained
        model.networks = [set_weights(cls.build_network(spec), one) for one in trained]
        return model

    def _predict_oof(self, planned: list[FoldNetwork], data: TrainingSide) -> pd.DataFrame:
        """Chunks that chose an epoch, predicted by the network that has not learned from them, as recordings."""
        nested = getattr(self.spec.params, "validation", "nested") == "nested"
        held_out = [(one, network) for one, network in zip(planned, self.networks) if nested and len(one.validation)]
        if not held_out:
            return data.tabulate_oof(data.list_recordings()[:0], np.zeros((0, len(data.labels))))
        parts = []
        for one, network in held_out:
            logits = run_network(network, self.show_chunks(one.validation, data.events)).numpy()
            if not self.averages_chunks:
                logits = average_recordings(one.validation, logits)
            parts.append(torch.from_numpy(logits).softmax(1).numpy())
        chunks = pd.concat([one.validation for one, _ in held_out])
        return data.tabulate_chunk_oof(chunks, np.concatenate(parts))

    def predict_proba(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_labels)."""
        return self.compute_logits(chunks, events).softmax(1).numpy()

    @property
    def averages_chunks(self) -> bool:
        """Unless it learned from bags of chunks."""
        return not self.make_plan(self.spec.params).task.bag_size

    def predict_recordings(
        self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], without: str = ""
    ) -> np.ndarray:
        """(n_recordings, n_labels): where it learned from bags of chunks, by the mean of the logits of all of them."""
        if self.averages_chunks:
            return super().predict_recordings(chunks, events, without)
        logits = average_chunks(chunks, self.compute_logits(chunks, events).numpy())
        return softmax(logits.to_numpy(), axis=1)

    def compute_features(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> np.ndarray:
        """(n_chunks, n_features) the input of the last layer; of several networks, that of the first."""
        return run_network(self.networks[0].compute_features, self.show_chunks(chunks, events)).numpy()

    def compute_logits(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> Tensor:
        """(n_chunks, n_labels) mean over the networks; each batch of chunks is shown once, to all of them."""
        return run_network(
            lambda shown: torch.stack([network(shown).double() for network in self.networks]).mean(0),
            self.show_chunks(chunks, events),
        )

    def show_chunks(self, chunks: pd.DataFrame, events: Mapping[str, SpikeEvents]) -> ChunkDataset:
        """Chunks as the networks see them, without their labels."""
        return show_unlabelled(chunks, events, self.make_view(self.spec.params), self.spec.labels)

    def check_input(self, events: SpikeEvents) -> str:
        """Whether its view can show the recording."""
        return check_view(self.make_view(self.spec.params), events)

    def save(self, folder: Path) -> None:
        """One file a network, numbered."""
        for number, trained in enumerate(self.trained):
            save_network(folder / f"network_{number}.safetensors", trained)

    @classmethod
    def load(cls, folder: Path, spec: ModelSpec) -> Self:
        """Read what :meth:`save` wrote."""
        count = max(1, len(list(folder.glob("network_*.safetensors"))))
        files = [folder / f"network_{number}.safetensors" for number in range(count)]
        return cls.assemble(spec, [load_network(file, partial(cls.build_network, spec)) for file in files])


def weigh_classes(chunks: pd.DataFrame, data: TrainingSide, params: Any) -> tuple[float, ...] | None:
    """Weights with which all classes count equally; None where they do so already, or are not to."""
    if getattr(params, "class_weight", None) != "balanced":
        return None
    weights = compute_class_weight("balanced", classes=np.array(data.labels), y=chunks["label"])
    return None if (weights == 1).all() else tuple(weights.tolist())


def make_training_key(name: str, data: TrainingSide, params: Any) -> dict[str, Any]:
    """All that decides a fold's networks, beside the code: for the key of the cache."""
    return {
        **data.data_key,
        "fold": data.fold,
        "split_level": data.split_level,
        "inner_folds": data.inner_folds,
        "seed": data.seed,
        "model": name,
        "params": params.model_dump(),
        "threads": data.threads,
        "device": choose_device(),
        "torch": torch.__version__,
    }


def show_unlabelled(
    chunks: pd.DataFrame, events: Mapping[str, SpikeEvents], view: ChunkView, labels: list[str]
) -> ChunkDataset:
    """Chunks as a network sees them, without their labels."""
    return ChunkDataset(chunks.assign(label=labels[0]), events, view, labels)


def check_view(view: ChunkView, events: SpikeEvents) -> str:
    """Why a view cannot show a recording; an empty string where it can."""
    try:
        view.check(events)
    except MeaError as error:
        return str(error)
    return ""
