"""scikit-learn models on disk: written with skops, which holds no code, the same bytes for the same model."""

import io
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZipFile, ZipInfo

from mea.runtime.errors import MeaError
from mea.runtime.files import refuse_damage

TRUSTED = ["mea.models.wccn.CultureNormalizer", "numpy.clip", "numpy.dtype"]  # beyond what skops trusts by itself


def save_estimator(path: Path, model: Any) -> None:
    """Write a fitted model, or a mapping or list of such.

    The addresses in memory by which skops names its parts become numbers, and the time of writing is left out.
    """
    with ZipFile(io.BytesIO(_import_skops().dumps(model))) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    numbers: dict[str, str] = {}
    schema = re.sub(
        r'(?<="__id__": )\d+|(?<="file": ")\d+(?=\.npy")',
        lambda found: numbers.setdefault(found[0], str(len(numbers))),
        parts.pop("schema.json").decode(),
    )
    with ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(ZipInfo(f"{numbers[Path(name).stem]}.npy"), content)
        file.writestr(ZipInfo("schema.json"), schema)


def load_estimator(path: Path) -> Any:
    """Read what :func:`save_estimator` wrote, refusing any type outside the list written down here.

    Raises
    ------
    MeaError
        If the file asks for a type we do not trust, or is not readable.
    """
    skops_io = _import_skops()
    with refuse_damage(path, "a model written by the train stage", "Train it again."):
        unknown = set(skops_io.get_untrusted_types(file=path)) - set(TRUSTED)
        if unknown:
            raise MeaError(f"{path}: asks for types we do not trust: {', '.join(sorted(unknown))}. Train it again.")
        return skops_io.load(path, trusted=TRUSTED)


@cache
def _import_skops() -> ModuleType:
    """``skops.io``, without PyTorch and Dask, which take two seconds and which it has no use for.

    It asks scikit-learn for all estimators, and that imports every package within scikit-learn, these two among them,
    which it may do without.
    """
    within = [f"sklearn.externals.array_api_compat.{name}" for name in ("torch", "dask")]
    hidden = {name: None for name in within if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None: as if it were not installed
    try:
        import skops.io

        return skops.io
    finally:
        for name in hidden:
            del sys.modules[name]
