"""Compiled loops are shared by the clones of one machine, and never by two versions of the code."""

import os
import shutil
import subprocess
import sys

import pytest
from builders.lab import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows takes the user's cache from no environment variable")

LOOP = """
import sys
from mea.simulation.noise import _color_noise
import numpy as np
trace = np.ones(4, np.float32)
_color_noise(trace, *(np.float32(one) for one in (0.5, 0.5, 0.5, 1.0)))
stats = _color_noise.dispatcher.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), trace.tolist())
"""


def clone(folder):
    """A copy of the code as Git would check it out: nothing compiled beside it."""
    shutil.copytree(ROOT / "mea", folder / "mea", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(folder, home, **environment):
    """Compile or load the loop in a process of its own: hits, misses and what it computes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    given = kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOOP], cwd=folder, env=given | environment, capture_output=True, text=True, check=True
    )
    hits, misses, values = done.stdout.split(maxsplit=2)
    return (int(hits), int(misses)), values


def test_a_second_clone_has_nothing_to_compile(tmp_path):
    counts, values = run(clone(tmp_path / "one"), tmp_path)
    assert counts == (0, 1)
    assert run(clone(tmp_path / "two"), tmp_path) == ((1, 0), values)
    assert not list((tmp_path / "two").rglob("*.nbi")), "and nothing lies beside the source"


def test_changed_code_is_compiled_anew_and_the_other_version_keeps_its_own(tmp_path):
    _, values = run(clone(tmp_path / "one"), tmp_path)
    changed = clone(tmp_path / "two") / "mea/simulation/noise.py"
    text = changed.read_text(encoding="utf-8")
    assert "trace[position] = scale * passed" in text
    changed.write_text(text.replace("trace[position] = scale * passed", "trace[position] = scale * passed + one"))
    counts, other = run(tmp_path / "two", tmp_path)
    assert counts == (0, 1) and other != values
    assert run(tmp_path / "one", tmp_path) == ((1, 0), values)


@pytest.mark.slow
def test_the_users_own_place_comes_first(tmp_path):
    own = tmp_path / "own"
    assert run(clone(tmp_path / "one"), tmp_path, NUMBA_CACHE_DIR=str(own))[0] == (0, 1)
    assert list(own.rglob("*.nbi")) and not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_where_the_users_cache_cannot_be_written_it_lies_beside_the_source(tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    run(clone(tmp_path / "one"), tmp_path)
    assert list((tmp_path / "one").rglob("*.nbi"))
