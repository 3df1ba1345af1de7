"""Rows, flags, model card and attributions in words."""

import pandas as pd

from mea.report.attributions import format_attributions
from mea.report.provenance import render_markdown
from mea.report.rows import STRIP_HEIGHT, list_flags, trace_strip


def test_a_strip_has_a_lane_for_every_call():
    chunks = pd.DataFrame(
        {"start_s": [0, 1.0, 2.0], "stop_s": [1, 2.0, 3.0], "predicted": ["a", "b", "a"], "confidence": [1, 0.6, 0.8]}
    )
    first, second = (trace_strip(chunks, label, lane, 2) for lane, label in enumerate("ab"))
    assert first.count("M") == 2 and second.count("M") == 1
    assert first.startswith(f"M0.0 {STRIP_HEIGHT / 2:.1f}h") and second.startswith(f"M50.0 {STRIP_HEIGHT:.1f}h")


def test_flags_say_what_is_odd():
    line = {"label": "a", "predicted": "b", "confidence": 0.6, "threshold": 0.9, "prediction_set": "b"}
    assert [word for word, _ in list_flags(line, "a gap")] == ["wrong", "unsure", "ruled out", "note"]
    fine = line | {"predicted": "a", "threshold": 0.5, "prediction_set": "a|b"}
    assert list_flags(fine, "") == []
    assert "no confidence that is high enough" in list_flags(fine | {"threshold": ""}, "")[0][1]


def test_markdown_runs_nothing_and_loads_nothing():
    text = (
        "# Card\n\n<script>bad()</script> ![x](http://example.org/x.png) [y](javascript:bad)\n\n| a |\n| --- |\n| 1 |"
    )
    shown = render_markdown(text)
    assert "<h3>Card</h3>" in shown and "<table>" in shown
    assert "<script" not in shown and "<img" not in shown and "href" not in shown


def test_the_largest_attributions_are_named():
    rows = [
        {"kind": "whole", "log_odds": 2.0},
        {"kind": "electrode", "row": 1, "col": 2, "last_row": 1, "last_col": 2, "log_odds": 0.1},
        {"kind": "electrode", "row": 3, "col": 4, "last_row": 5, "last_col": 7, "log_odds": -0.5},
        {"kind": "window", "start_s": 0, "stop_s": 1.2, "log_odds": 1.5},
        {"kind": "family", "family": "return_maps", "log_odds": 0.7},
    ]
    assert format_attributions(pd.DataFrame(rows)) == [
        "Families of features: return maps (+0.70)",
        "Electrodes: rows 3 to 5, columns 4 to 7 (-0.50), row 1, column 2 (+0.10)",
        "Windows, each alone: 0 to 1.2 s (+1.50)",
    ]
