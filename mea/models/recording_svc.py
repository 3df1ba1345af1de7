"""A support vector classifier of whole recordings, its hyperparameters and Platt scaling from inner folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.special import expit
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.class_weight import compute_sample_weight

from mea.models.estimators import load_estimator, save_estimator
from mea.models.multiclass import combine_problems, list_problems
from mea.models.wccn import CultureNormalizer, have_replicates
from mea.runtime.errors import MeaError
from mea.statistics.calibration import fit_platt

CLIP = 3.0  # standard deviations at which features are clipped, against outliers
COSTS = (3.0, 10.0, 30.0)
GAMMA_SCALES = (0.1, 0.2, 0.4)
SHRINKAGES = (None, 0.03, 0.1, 0.3)
MOST_EXACT = 2500  # recordings up to which the kernel matrix is computed: 50 MB, and it grows with their square
LANDMARKS = 1000  # recordings by which the kernel of more is approximated
STANDARD_ERRORS = 2.0  # by which other hyperparameters must be better than the defaults
UNCHOSEN_PLATT = (2.0, 0.0)  # slope and intercept where no inner folds are possible


@dataclass(frozen=True)
class SvmParams:
    """Hyperparameters that the inner folds choose.

    Attributes
    ----------
    C
        Cost of a margin error.
    gamma_scale
        Of the kernel exp(-gamma_scale * squared distance / total variance).
    shrinkage
        Of :class:`mea.models.wccn.CultureNormalizer`; None for no normalisation.
    """

    C: float = 10.0
    gamma_scale: float = 0.2
    shrinkage: float | None = 0.1


def choose_default(y: np.ndarray, cultures: np.ndarray) -> SvmParams:
    """The hyperparameters that are kept unless others are clearly better: normalised where that can be estimated."""
    return SvmParams() if have_replicates(y, cultures) else SvmParams(shrinkage=None)


def build_scaler() -> Pipeline:
    """Undefined features become the median; then features are standardised and clipped."""
    clip = FunctionTransformer(np.clip, kw_args={"a_min": -CLIP, "a_max": CLIP})
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("impute", imputer), ("scale", StandardScaler()), ("clip", clip)])


def build_pipeline(params: SvmParams, approximate: bool = False) -> Pipeline:
    """From (n, n_features), NaN where undefined, to decisions; ``fit`` takes ``normalize__cultures``.

    Approximated, the kernel is that between the recordings and ``LANDMARKS`` of them, drawn at random, so that time and
    memory are linear in ``n``: Williams and Seeger, "Using the Nyström method to speed up kernel machines", NIPS 2000.
    """
    steps = [*build_scaler().steps, ("normalize", CultureNormalizer(params.shrinkage))]
    if not approximate:
        return Pipeline([*steps, ("svc", SVC(C=params.C, gamma=params.gamma_scale, class_weight="balanced"))])
    kernel = Nystroem(gamma=params.gamma_scale, n_components=LANDMARKS, random_state=0)
    svc = LinearSVC(C=params.C, class_weight="balanced", dual=False)
    return Pipeline([*steps, ("kernel", kernel), ("svc", svc)])


class RecordingSVC:
    """One pipeline for each problem of :func:`mea.models.multiclass.list_problems`, Platt-scaled, combined.

    Parameters
    ----------
    pipelines
        Of :func:`build_pipeline`, fitted.
    n_labels
        Number of classes.
    platt
        (n_pipelines, 2) slope and intercept from decisions to log odds.
    feature_names
        Of the features it takes, in order.
    """

    def __init__(self, pipelines: list[Pipeline], n_labels: int, platt: np.ndarray, feature_names: list[str]):
        self.pipelines, self.n_labels, self.platt, self.feature_names = pipelines, n_labels, platt, feature_names

    @classmethod
    def fit(
        cls,
        X: np.ndarray,
        targets: np.ndarray,
        cultures: np.ndarray,
        folds: np.ndarray | None,
        n_labels: int,
        feature_names: Sequence[str],
    ) -> tuple["RecordingSVC", np.ndarray]:
        """Fit, with hyperparameters and Platt scaling from the inner folds.

        Parameters
        ----------
        X
            (n, n_features) of the training recordings; NaN where undefined.
        targets, cultures
            (n,) int, number of each label; (n,) culture.
        folds
            (n,) inner fold of each; None where there can be none: then the defaults are taken.
        n_labels, feature_names
            Number of classes; (n_features,).

        Returns
        -------
        model
            The fitted classifier.
        oof
            (n, n_labels) out-of-fold probabilities; (0, n_labels) without inner folds.
        """
        pipelines, platt, decisions = [], [], []
        for problem in list_problems(n_labels):
            own, y = problem.select(targets), np.isin(targets, problem.positive)
            params, held_out = choose_default(targets, cultures), np.zeros(0)
            if folds is not None:
                params, of_own = choose_params(X[own], y[own], cultures[own], folds[own], params)
                held_out = hold_out_all(X, y, cultures, folds, own, params) if not own.all() else of_own
                platt.append(fit_platt(of_own, y[own]))
            else:
                platt.append(UNCHOSEN_PLATT)
            pipeline = build_pipeline(params, is_large(own))
            pipelines.append(pipeline.fit(X[own], y[own], normalize__cultures=cultures[own]))
            decisions.append(held_out)
        model = cls(pipelines, n_labels, np.array(platt), list(feature_names))
        return model, model.scale_decisions(np.stack(decisions, axis=1))

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """(n, n_labels) probabilities of recordings, (n, n_features).

        Raises
        ------
        MeaError
            If the number of features is not the one it was fitted with.
        """
        if X.shape[1] != len(self.feature_names):
            raise MeaError(
                f"the classifier was fitted on {len(self.feature_names)} features of a recording, but this version "
                f"computes {X.shape[1]}. Train it again: dvc repro train."
            )
        return self.scale_decisions(np.stack([one.decision_function(X) for one in self.pipelines], axis=1))

    def scale_decisions(self, decisions: np.ndarray) -> np.ndarray:
        """(n, n_labels) probabilities of (n, n_pipelines) decisions."""
        return combine_problems(expit(decisions * self.platt[:, 0] + self.platt[:, 1]), self.n_labels)

    def list_limits(self) -> list[str]:
        """That the kernel is approximated, where it is."""
        if not any("kernel" in pipeline.named_steps for pipeline in self.pipelines):
            return []
        return [
            f"the support vector classifier learned from over {MOST_EXACT} recordings: its kernel is approximated by "
            f"{LANDMARKS} of them (Nyström's method), and {MOST_EXACT} of them chose its hyperparameters"
        ]

    def save(self, path: Path) -> None:
        """Write it with skops."""
        save_estimator(
            path, {name: getattr(self, name) for name in ("pipelines", "n_labels", "platt", "feature_names")}
        )

    @classmethod
    def load(cls, path: Path) -> "RecordingSVC":
        """Read what :meth:`save` wrote.

        Raises
        ------
        MeaError
            If the file is missing, not readable, or asks for types we do not trust.
        """
        return cls(**load_estimator(path))


def is_large(own: np.ndarray) -> bool:
    """Whether a problem's kernel is approximated; all its recordings count, so that its folds are of the same kind."""
    return bool(np.count_nonzero(own) > MOST_EXACT)


def hold_out_all(
    X: np.ndarray, y: np.ndarray, cultures: np.ndarray, folds: np.ndarray, own: np.ndarray, params: SvmParams
) -> np.ndarray:
    """(n,) decision of every recording by a pipeline that was fitted on those in ``own`` of the other inner folds."""
    decisions = np.zeros(len(y))
    for fold in np.unique(folds):
        val_mask = folds == fold
        seen = own & ~val_mask
        pipeline = build_pipeline(params, is_large(own)).fit(X[seen], y[seen], normalize__cultures=cultures[seen])
        decisions[val_mask] = pipeline.decision_function(X[val_mask])
    return decisions


def choose_params(
    X: np.ndarray, y: np.ndarray, cultures: np.ndarray, folds: np.ndarray, default: SvmParams
) -> tuple[SvmParams, np.ndarray]:
    """Hyperparameters by the log loss of the recordings that inner folds hold out, and their decisions, (n,).

    Of more than ``MOST_EXACT`` recordings, that many decide the hyperparameters, drawn at random.
    """
    few = np.sort(np.random.default_rng(0).permutation(len(y))[:MOST_EXACT])
    decisions = compare_params(X[few], y[few], cultures[few], folds[few])
    losses = {params: compute_losses(held_out, y[few]) for params, held_out in decisions.items()}
    chosen = select_within_2se(losses, folds[few], default)
    if len(few) == len(y):
        return chosen, decisions[chosen]
    return chosen, hold_out_all(X, y, cultures, folds, np.ones(len(y), bool), chosen)


def compare_params(
    X: np.ndarray, y: np.ndarray, cultures: np.ndarray, folds: np.ndarray
) -> dict[SvmParams, np.ndarray]:
    """For all hyperparameters, (n,) decision of each recording by a pipeline that has not seen its fold.

    The same numbers as :func:`build_pipeline` fitted for each; what several have in common is computed once.
    """
    grid = {SvmParams(*each): np.zeros(len(y)) for each in product(COSTS, GAMMA_SCALES, SHRINKAGES)}
    for fold in np.unique(folds):
        val_mask = folds == fold
        scaler = build_scaler()
        scaled, own_y = scaler.fit_transform(X[~val_mask]), y[~val_mask]
        for shrinkage in SHRINKAGES:
            normalizer = CultureNormalizer(shrinkage).fit(scaled, own_y, cultures[~val_mask])
            training, held_out = normalizer.transform(scaled), normalizer.transform(scaler.transform(X[val_mask]))
            for gamma_scale in GAMMA_SCALES:
                kernel = rbf_kernel(training, gamma=gamma_scale)
                held_out_kernel = rbf_kernel(held_out, training, gamma=gamma_scale)
                for cost in COSTS:
                    svc = SVC(C=cost, kernel="precomputed", class_weight="balanced").fit(kernel, own_y)
                    grid[SvmParams(cost, gamma_scale, shrinkage)][val_mask] = svc.decision_function(held_out_kernel)
    return grid


def select_within_2se(losses: dict[SvmParams, np.ndarray], folds: np.ndarray, default: SvmParams) -> SvmParams:
    """The hyperparameters of lowest loss if it is clearly lower than that of the defaults, else the defaults.

    The lowest of many losses on a few batches is low by chance, too, and what is chosen then differs from fold to fold.
    As with the one-standard-error rule of Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees"
    (1984), the simple choice is kept unless the gain exceeds its standard errors, here two, over the inner folds.

    Parameters
    ----------
    losses
        (n,) loss of every recording, for each hyperparameters tried, the defaults among them.
    folds
        (n,) the inner fold that held it out.
    default
        The hyperparameters that others must be clearly better than.
    """
    best = min(losses, key=lambda params: losses[params].sum())
    gains = np.array([(losses[default] - losses[best])[folds == fold].sum() for fold in np.unique(folds)])
    clear = gains.mean() > STANDARD_ERRORS * gains.std(ddof=1) / np.sqrt(len(gains))
    return best if clear else default


def compute_losses(decisions: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) log loss of Platt-scaled decisions, weighted so that both classes have the same total weight."""
    slope, intercept = fit_platt(decisions, y)
    log_odds = slope * decisions + intercept
    return np.logaddexp(0, np.where(y, -log_odds, log_odds)) * compute_sample_weight("balanced", y)
