"""The shipped classifier beside a plain one, on the same features and folds: ``python -m benchmarks.plain``

``features`` chooses hyperparameters, normalisation and calibration inside each fold. The plain one is scikit-learn's
``SVC`` as everybody has it: features standardised, clipped at three standard deviations, ``C=1``. Where the plain one
is better by more than the error of the difference, ours is made for another data set, and that is a defect.

Without arguments: the embedded sample, and three simulated labs with two, three and four classes, which differ by one
step of ``simulate.class_effect`` each. ``--array NAME=FOLDER`` adds what the array stage wrote, such as
``--array charlesworth2015=data/array``, from the first 900 s in chunks of 30 s.

Prints a table: accuracy of both over held-out recordings, their difference with its interval, and the verdict. Every
line is a look at held-out recordings: count them.
"""

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from benchmarks.controls import make_arrays, read_arrays
from benchmarks.models import CHUNK_S, FIRST_S, Trained, train_and_predict
from mea.models.features import FeaturesModel
from mea.models.recording_svc import build_scaler
from mea.runtime.command import print_line
from mea.runtime.files import write_json
from mea.runtime.tables import draw_markdown
from mea.simulation.plans import plan_training
from mea.simulation.simulate import write_simulated
from mea.splitting.aggregation import get_probabilities
from mea.splitting.groups import group_recordings
from mea.statistics.paired import compare_accuracy

BATCHES, CULTURES, DURATION_S = 6, 2, 9.6
COLUMNS = ("data", "split by", "seed", "recordings", "features", "plain SVC", "difference", "interval", "verdict")


def simulate_lab(folder: Path, classes: int, seed: int) -> None:
    """Write arrays of a lab whose class ``effect_k`` differs by ``k`` from ``effect_0``; every batch holds them all."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    lines = []
    for effect in range(classes):
        for plan in plan_training(seed, BATCHES, CULTURES * classes, 1, effect, recording_variance=1.0):
            _, label, culture, _ = plan.key
            if label == 1 and culture // CULTURES == effect:
                write_simulated(raw / f"{plan.recording}.h5", plan, DURATION_S)
                lines.append(replace(plan, label=f"effect_{effect}"))
    with (raw / "recordings.csv").open("w", encoding="utf-8", newline="") as stream:
        names = ("recording", "label", "culture", "batch")
        csv.writer(stream).writerows([names, *([getattr(plan, name) for name in names] for plan in lines)])
    read_arrays(folder, raw, [])


def compare(array: Path, settings: list[str], folder: Path) -> dict[str, object]:
    """One line of the table: split and train by the stages, predict what each fold held out, by both.

    Parameters
    ----------
    array
        What the array stage wrote.
    settings
        ``section.key=value`` on top of ``params.yaml``.
    folder
        Where split and models go.
    """
    trained = train_and_predict(array, [*settings, "train.models=[features]"], folder)
    ours, labels = trained.recordings["features"], trained.classifiers["features"].labels
    plain = predict_plainly(trained)
    actual, groups = ours["label"].to_numpy(), group_recordings(ours, "batch")
    # The difference is ours minus the plain one's.
    found = compare_accuracy(labels, actual, groups, plain, get_probabilities(ours, labels))
    return {
        "recordings": len(ours),
        "features": found.b,
        "plain SVC": found.a,
        "difference": found.value,
        "interval": f"{found.low:+.3f} to {found.high:+.3f}",
        "verdict": found.verdict,
    }


def predict_plainly(trained: Trained) -> np.ndarray:
    """(n, n_labels) 1 at the label that the plain classifier predicts, for recordings in the order of the table."""
    classifier, chunks = trained.classifiers["features"], trained.chunks
    folds = classifier.folds
    model = classifier.open_model(folds[0])
    assert isinstance(model, FeaturesModel)
    values = model.summarise_recordings(chunks, trained.events, model.compute_features(chunks, trained.events))
    by_name = chunks.drop_duplicates("recording").sort_values("recording")[["recording", "label", "fold"]]
    order = by_name["recording"].searchsorted(trained.recordings["features"]["recording"])
    label, fold = by_name["label"].to_numpy(), by_name["fold"].to_numpy()
    predicted = np.empty(len(values), dtype=object)
    for number in folds:
        held_out = fold == number
        plain = Pipeline([*build_scaler().steps, ("svc", SVC(C=1.0))]).fit(values[~held_out], label[~held_out])
        predicted[held_out] = plain.predict(values[held_out])
    return (predicted[order][:, None] == np.array(classifier.labels)).astype(float)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = "recordings that the array stage wrote, and what they are called"
    parser.add_argument("--array", metavar="NAME=FOLDER", action="append", default=[], help=what)
    parser.add_argument("--split.by", dest="by", default="batch", help="what is held out as a whole")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the split")
    parser.add_argument("--no-simulation", action="store_true", help="only what --array names")
    parser.add_argument("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help="further parameters")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the table is kept, as JSON")
    given = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory(prefix="mea-plain-") as temporary:
        folder = Path(temporary)
        arrays = {name: (Path(place), [f"split.first_s={FIRST_S}", f"split.chunk_s={CHUNK_S}"])
                  for name, _, place in (one.partition("=") for one in given.array)}  # fmt: skip
        if not given.no_simulation:
            make_arrays(folder / "sample", [])
            arrays["sample"] = folder / "sample/array", []
            for classes in (2, 3, 4):
                simulate_lab(folder / f"lab_{classes}", classes, seed=classes)
                arrays[f"{classes} simulated classes"] = folder / f"lab_{classes}/array", []
        for name, (array, settings) in arrays.items():
            for seed in given.seeds:
                chosen = [*settings, f"split.by={given.by}", f"split.seed={seed}", *given.set]
                with tempfile.TemporaryDirectory(prefix="mea-plain-") as place:
                    lines.append(
                        {"data": name, "split by": given.by, "seed": seed} | compare(array, chosen, Path(place))
                    )
                print_line(format_table(lines[-1:]))
    print(format_table(lines))
    if given.out:
        write_json(given.out, {"lines": lines})


def format_table(lines: list[dict[str, object]]) -> str:
    """The lines in Markdown."""
    rows = [
        [f"{line[name]:.3f}" if isinstance(line[name], float) else line[name] for name in COLUMNS] for line in lines
    ]
    return "\n".join(draw_markdown(COLUMNS, rows))


if __name__ == "__main__":
    main()
