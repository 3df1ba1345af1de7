"""What a feature is: its name, its unit and what it means, declared as data beside the code that computes it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

QUANTILES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}


@dataclass(frozen=True)
class Feature:
    """One number about the spikes of a window.

    Attributes
    ----------
    name
        Begins with the subject of its family and ends with its unit, if it has one. ``log10`` stands before a quantity
        whose decimal logarithm is given; ``p`` in a number is its decimal point.
    unit
        Of the value; ``log10(Hz)`` of a logarithm, empty for a plain number.
    description
        One line.
    """

    name: str
    unit: str
    description: str


@dataclass(frozen=True)
class Family:
    """Features that one function computes.

    Attributes
    ----------
    name
        Of the family.
    features
        In the order of ``compute``.
    compute
        From the spikes of a window (:class:`mea.features.trains.Trains`) to the value of each feature, by its name. The
        family of waveforms takes the recording's events as well.
    """

    name: str
    features: tuple[Feature, ...]
    compute: Callable[..., dict[str, float]]


def list_measures(
    prefix: str, measures: dict[str, tuple[str, str]], context: str = "", std_over: str = ""
) -> list[Feature]:
    """A feature ``<prefix>_<measure>`` of each measure, given as name → (unit, description).

    Parameters
    ----------
    context
        Ends each description, in brackets.
    std_over
        If given, a second feature ``..._std`` follows each: the standard deviation over these.
    """
    end = f" ({context})" if context else ""
    features = []
    for name, (unit, description) in measures.items():
        mean = f", mean over the {std_over}" if std_over else ""
        features.append(Feature(f"{prefix}_{name}", unit, f"{description}{mean}{end}"))
        if std_over:
            std = f"{description}, standard deviation over the {std_over}{end}"
            features.append(Feature(f"{prefix}_{name}_std", unit, std))
    return features


def format_quantile(name: str) -> str:
    """A key of ``QUANTILES`` in words.

    >>> format_quantile("q10"), format_quantile("median")
    ('10 % quantile', 'median')
    """
    return name if name == "median" else f"{name[1:]} % quantile"


def format_range(name: str) -> str:
    """The part of a name that is a range, in words.

    >>> format_range("2p4_to_5p6_ms")
    '2.4 to 5.6 ms'
    """
    return re.sub(r"(?<=\d)p(?=\d)", ".", name).replace("_", " ")
