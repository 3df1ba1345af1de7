"""Every plot: saved with its numbers, the same bytes again, whatever the user's settings."""

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pandas as pd
import pytest
from builders.plots import make_plots
from PIL import Image

from mea.runtime.style import COLOURS, Plot, new_plot, save_plot, series_style


def test_every_plot_function_has_a_plot_here(plots):
    rooms = Path(__file__).parents[2] / "mea"
    source = "\n".join(path.read_text(encoding="utf-8") for path in rooms.glob("*/plots*.py"))
    starts = [line.split("(")[0] for line in source.splitlines() if line.startswith("def plot_")]
    functions = {start.removeprefix("def ") for start in starts}
    assert functions == set(plots)


@pytest.fixture(scope="module")
def plots():
    return make_plots()


@pytest.fixture(scope="module")
def saved(plots, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    for name, plot in plots.items():
        save_plot(plot, folder / f"{name}.png")
    return folder


def test_every_plot_is_saved_with_its_numbers(plots, saved):
    for name, plot in plots.items():
        table = pd.read_csv(saved / f"{name}.csv")
        assert len(table) > 0
        pd.testing.assert_frame_equal(table, plot.table.reset_index(drop=True), check_dtype=False, rtol=1e-8)


def test_same_numbers_give_the_same_bytes_whatever_the_users_settings(saved, tmp_path):
    """In a process of its own, which also sees that pyplot and the settings are left alone."""
    code = (
        "import sys, matplotlib\n"
        "from pathlib import Path\n"
        "from builders.plots import make_plots\n"
        "from mea.runtime.style import save_plot\n"
        "matplotlib.rcParams.update({'font.size': 31.0, 'image.origin': 'lower', 'lines.linewidth': 9})\n"
        "names = set(matplotlib.rcParams) - {'backend'}  # asking for the backend imports pyplot\n"
        "before = {name: matplotlib.rcParams[name] for name in names}\n"
        "for name, plot in make_plots().items(): save_plot(plot, Path(sys.argv[1]) / f'{name}.png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot was imported'\n"
        "assert {name: matplotlib.rcParams[name] for name in names} == before, 'settings changed'\n"
    )
    tests = Path(__file__).resolve().parents[1]
    environment = os.environ | {"PYTHONPATH": f"{tests.parent}"}
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, cwd=tests, env=environment)
    files = sorted(saved.glob("*.png"))
    assert len(files) == len(list(tmp_path.glob("*.png"))) > 0
    for file in files:
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name
        assert file.stat().st_size < 100_000


def test_plots_hold_no_text_chunks_and_have_256_colours_at_most(saved):
    with Image.open(saved / "plot_roc.png") as image:
        assert image.mode == "P"
        assert image.size == (528, 506)  # 4.8 x 4.6 inches at 110 dots per inch
        assert set(image.info) == {"dpi"}


def test_saving_leaves_no_other_file_and_a_failed_save_leaves_the_old_one(tmp_path, ax):
    path = tmp_path / "new" / "trace.png"
    save_plot(ax.figure, path)
    before = path.read_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == ["trace.png"]
    ax.set_title("$\\nosuchsymbol$")
    with pytest.raises(ValueError, match="nosuchsymbol"):
        save_plot(ax.figure, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["trace.png"]
    assert path.read_bytes() == before


def test_given_table_stands_beside_the_plot_whole(tmp_path, ax):
    table = pd.DataFrame({"time_s": [0.1, 119.99996], "spikes": [3, 4], "name": ['µV, "x"', "b"]})
    save_plot(ax.figure, tmp_path / "a.b.png", table)
    assert (tmp_path / "a.b.csv").read_bytes() == 'time_s,spikes,name\n0.1,3,"µV, ""x"""\n119.99996,4,b\n'.encode()


def test_series_differ_in_print_too():
    styles = [series_style(index) for index in range(len(COLOURS))]
    for key in ("color", "linestyle", "marker", "hatch"):
        assert len({str(style[key]) for style in styles}) == len(COLOURS)


def test_plots_are_closed_with_their_last_reference(tmp_path):
    plot = new_plot()[0]
    assert isinstance(plot, Plot)
    save_plot(plot, tmp_path / "plot.png")
    gone = weakref.ref(plot)
    del plot
    gc.collect()
    assert gone() is None
