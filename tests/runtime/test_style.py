"""The style of plots: which fonts are asked, and one warning for characters that none has."""

import pytest

from mea.runtime import style
from mea.runtime.style import WIDE_FONTS, list_fonts, new_plot, save_plot

NOWHERE = "\ue000\ue001"  # private use: in no font


def test_a_character_in_no_font_is_warned_of_once(tmp_path):
    style._warn_of_boxes.cache_clear()
    with pytest.warns(UserWarning) as caught:
        for number in range(3):
            save_plot(new_plot(title=NOWHERE)[0], tmp_path / f"{number}.png")
    assert [str(one.message) for one in caught] == [style.BOXES]


def test_other_warnings_of_a_plot_are_passed_on(tmp_path):
    plot, axes = new_plot(size=(1.0, 1.0))
    axes[0, 0].set_yticks([0], ["a name that is far too long for a plot of one inch"])
    with pytest.warns(UserWarning, match="constrained_layout not applied"):
        save_plot(plot, tmp_path / "small.png")


def test_only_fonts_that_are_installed_are_asked(monkeypatch):
    class Font:
        name = WIDE_FONTS[3]

    monkeypatch.setattr(style.fontManager, "ttflist", [Font])
    assert list_fonts() == ["DejaVu Sans", WIDE_FONTS[3]]
    monkeypatch.setattr(style.fontManager, "ttflist", [])
    assert list_fonts() == ["DejaVu Sans"]
