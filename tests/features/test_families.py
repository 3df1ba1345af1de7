"""What features declare about themselves, against what is computed and what docs/features.md says."""

import re
from pathlib import Path

import pytest
from builders.arrays import make_events
from builders.spike_trains import make_lively, order_spikes

from mea.features.families import (
    FAMILIES,
    LONG_WINDOW_FAMILIES,
    WAVEFORM_FAMILY,
    build_feature_table,
    list_families,
    list_features,
    list_long_window_features,
    list_summaries,
    list_summary_families,
    list_targets,
)

ROOT = Path(__file__).resolve().parents[2]
ALL = (*FAMILIES, WAVEFORM_FAMILY, *LONG_WINDOW_FAMILIES)
UNITS = {"_hz": "Hz", "_s": "s", "_ms": "ms", "_uv": "µV", "_steps": "steps", "_per_min": "1/min"}
PAGE = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_each_family_computes_what_it_declares(family):
    if family is WAVEFORM_FAMILY:
        events = make_events(spikes_per_s=20)
        found = family.compute(order_spikes(events), events)
    else:
        found = family.compute(order_spikes(make_lively()))
    assert list(found) == [feature.name for feature in family.features]
    assert {type(value) for value in found.values()} == {float}


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_descriptions_are_lines_of_their_own(family):
    descriptions = [feature.description for feature in family.features]
    assert len(set(descriptions)) == len(descriptions)
    assert all(line and "\n" not in line and len(line) < 160 for line in descriptions)


def test_logarithms_have_units_of_logarithms():
    """Names that end with a unit have it; a logarithm's is that of its argument."""
    for family in ALL:
        for feature in family.features:
            assert ("log10" in feature.name) == feature.unit.startswith("log10") or not feature.unit, feature
            ends = [unit for end, unit in UNITS.items() if re.search(rf"_log10.*{end}(_std)?$", feature.name)]
            in_range = re.search(r"\d_(hz|ms|s|steps)(_std)?$", feature.name)  # the bin's unit, not the value's
            if ends and not in_range:
                assert feature.unit == f"log10({ends[0]})", feature


def test_columns_are_described_in_their_order():
    for has_waveforms in (False, True):
        columns = build_feature_table(has_waveforms)
        assert columns["name"].tolist() == list_summaries(has_waveforms)
        assert columns["family"].tolist() == list_summary_families(has_waveforms)
        n = len(list_features(has_waveforms))
        assert columns["family"][:n].tolist() == list_families(has_waveforms)
        whole, mean, std = (columns.iloc[start] for start in (0, n, 2 * n))
        assert whole["unit"] == mean["unit"] == std["unit"]
        assert mean["description"].endswith("; mean over the chunks")
        assert std["description"].endswith("; standard deviation over the chunks")


# --- docs/features.md -------------------------------------------------------------------------------------------------


def test_the_page_counts_each_family():
    rows = re.findall(r"^\| (\w+) \|.*\| (\d+) \|$", PAGE, flags=re.MULTILINE)
    counted = [(family.name, str(len(family.features))) for family in ALL]
    assert rows == counted, f"docs/features.md should count {sorted(set(counted) - set(rows))}"


def test_the_page_counts_all_features():
    counts = {
        "features": (len(list_features(False)), len(list_features(True))),
        "long-window features": (len(list_long_window_features()),),
        "columns": (len(list_summaries(False)), len(list_summaries(True))),
        "targets": (len(list_targets()),),
    }
    for what, numbers in counts.items():
        assert f"{' or '.join(map(str, numbers))} {what}" in PAGE, "docs/features.md"


def test_no_other_page_counts_features():
    """A number elsewhere would be forgotten when a feature is added; the notebook tells what was, and may count."""
    count = re.compile(r"\b\d{3} (summary )?features\b")
    others = [
        path
        for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
        if path.name not in ("features.md", "notebook.md")
    ]
    assert [(path.name, found[0]) for path in others if (found := count.search(path.read_text(encoding="utf-8")))] == []
