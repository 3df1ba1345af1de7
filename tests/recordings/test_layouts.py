"""Electrode labels → grid."""

import math

import numpy as np
import pytest

from mea.recordings.layouts import RIG_ROW_ORDER, electrode_labels, map_labels_to_grid, read_pitch
from mea.runtime.errors import BadRecording


def test_120_electrodes_stand_where_letter_and_number_say():
    grid = map_labels_to_grid("120MEA200/30iR-Ti           \r\n", ["A4", "M9", "D1", "J12", " H2\r\n"], "f.h5")
    assert (grid.layout, grid.rows, grid.cols, grid.pitch_um) == ("120MEA", 12, 12, 200)
    assert list(zip(grid.row, grid.col)) == [(3, 0), (8, 11), (0, 3), (11, 8), (1, 7)]
    assert grid.used.all()
    assert grid.notes == ()


def test_the_rigs_order_covers_every_electrode_once_and_no_corner():
    places = list(electrode_labels("120MEA").values())
    grid = map_labels_to_grid("120MEA", RIG_ROW_ORDER, "f.h5")
    assert len(places) == len(set(places)) == 120
    assert sorted(zip(grid.row, grid.col)) == places
    filled = np.zeros((12, 12), bool)
    filled[grid.row, grid.col] = True
    assert [list(~filled[row, :3]) for row in range(3)] == [[True] * 3, [True, True, False], [True, False, False]]
    assert np.array_equal(filled, filled[::-1])
    assert np.array_equal(filled, filled[:, ::-1])


def test_60_electrodes_are_column_then_row():
    grid = map_labels_to_grid("60MEA200/30iR-Ti", ["12", "87", "21"], "f.h5")
    assert (grid.rows, grid.cols) == (8, 8)
    assert list(zip(grid.row, grid.col)) == [(1, 0), (6, 7), (0, 1)]
    assert len(electrode_labels("60MEA")) == 60


def test_a_reference_is_left_out_with_a_note():
    grid = map_labels_to_grid("60MEA200/30", ["14", "Ref", "16"], "f.h5")
    assert list(grid.used) == [True, False, True]
    assert (grid.row[1], grid.col[1]) == (-1, -1)
    assert grid.notes == ("reference left out: Ref",)


def test_256_electrodes_skip_the_letters_i_and_q():
    grid = map_labels_to_grid("256MEA100/30iR-ITO", ["R16", "J2", "P1"], "f.h5")
    assert (grid.rows, grid.cols) == (16, 16)
    assert list(zip(grid.row, grid.col)) == [(15, 15), (1, 8), (0, 14)]


def test_a_linear_probe_is_one_column():
    grid = map_labels_to_grid("Linear8                               \r\n", [f"E{k}" for k in range(1, 9)], "f.h5")
    assert (grid.layout, grid.rows, grid.cols) == ("Linear8", 8, 1)
    assert list(grid.row) == list(range(8))
    assert not grid.col.any()
    assert math.isnan(grid.pitch_um)


@pytest.mark.parametrize(
    ("labels", "layout"),
    [(["12", "47"], "60MEA"), (["A4", "M9"], "120MEA"), (["A1", "M9"], "256MEA")],
)
@pytest.mark.parametrize("name", ["", "Custom7"])
def test_an_unknown_layout_is_the_smallest_that_fits_all_labels(name, labels, layout):
    grid = map_labels_to_grid(name, labels, "f.h5")
    assert grid.layout == layout
    assert grid.notes == (f"layout {name!r} is not one we know; {layout} deduced from the electrode labels",)


def test_a_line_of_electrodes_is_deduced_only_where_the_file_names_no_layout():
    labels = [f"E{number}" for number in range(1, 4097)]
    assert map_labels_to_grid("", labels, "f.h5").layout == "Linear4096"
    with pytest.raises(BadRecording, match=r"layout 'Grid64x64' is unknown.*layouts\.csv"):
        map_labels_to_grid("Grid64x64", labels, "f.h5")


def test_120_empty_labels_are_taken_in_the_rigs_order_with_a_note():
    grid = map_labels_to_grid("", [" "] * 120, "f.h5")
    assert grid.names == RIG_ROW_ORDER
    assert (grid.row[0], grid.col[0]) == (6, 5)
    assert grid.notes[0] == "no electrode labels in the file: the rows are taken to be in the 120-electrode rig's order"


@pytest.mark.parametrize(("layout", "count"), [("120MEA", 119), ("60MEA200/30", 120), ("", 60)])
def test_empty_labels_otherwise_are_refused(layout, count):
    with pytest.raises(BadRecording, match=rf"^f.h5: layout '{layout}' of {count} channels is unknown without electr"):
        map_labels_to_grid(layout, [""] * count, "f.h5")


def test_labels_that_fit_no_layout_are_refused():
    with pytest.raises(BadRecording, match=r"^f.h5: layout 'Odd' is unknown, and its electrode labels \('A4', '12', "):
        map_labels_to_grid("Odd", ["A4", "12"], "f.h5")


@pytest.mark.parametrize(
    ("layout", "label"), [("120MEA", "A1"), ("120MEA", "I5"), ("60MEA", "11"), ("60MEA", ""), ("Linear8", "E9")]
)
def test_a_label_that_is_not_in_the_layout_is_refused(layout, label):
    good = next(iter(electrode_labels(layout)))
    with pytest.raises(BadRecording, match=rf"^f.h5: electrode label '{label}' is unknown in the layout {layout}"):
        map_labels_to_grid(layout, [good, label], "f.h5")


def test_two_channels_on_one_electrode_are_refused():
    with pytest.raises(BadRecording, match=r"^f.h5: two channels on one electrode, 'A4'\. Give each"):
        map_labels_to_grid("120MEA", ["A4", "M9", "A4 "], "f.h5")


@pytest.mark.parametrize("layout", ["24W300/30", "MCS_8x8", "Linear0", "Linear"])
def test_positions_of_an_unknown_layout_are_refused(layout):
    with pytest.raises(BadRecording, match=rf"^layout '{layout}' is unknown; known are 60MEA, 120MEA"):
        electrode_labels(layout)


@pytest.mark.parametrize(
    ("layout", "pitch"), [("60MEA200/30", 200), ("120MEA100/30iR", 100), ("MCS_8x8_200um", 200), ("120MEA", math.nan)]
)
def test_the_pitch_comes_from_the_name(layout, pitch):
    assert read_pitch(layout) == pytest.approx(pitch, nan_ok=True)


def test_places_in_micrometres_are_columns_and_rows_times_the_pitch():
    """x runs along the columns, y along the rows: label 12 is column 1, row 2."""
    grid = map_labels_to_grid("60MEA200/30iR-Ti", ["12", "21", "87"], "one.h5")
    assert grid.x_um.tolist() == [0.0, 200.0, 1400.0] and grid.y_um.tolist() == [200.0, 0.0, 1200.0]
