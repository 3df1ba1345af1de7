"""docs/rejections.md lists every reason and every flag, and none that the code does not know."""

import ast
import re

import pytest
from builders.lab import ROOT

from mea.classification.classify import UNREADABLE
from mea.classification.measurements import CHECKS

ROOM = "mea/classification"
PLACES = (f"{ROOM}/decisions.py", f"{ROOM}/novelty.py", f"{ROOM}/known.py", "mea/evaluation/rules.py")
# Of what the modules say, these do not reject; `prior` is said by classify.py.
FLAGS = {"not evaluated", "not calibrated", "no threshold", "not told from chance", "leaky", "trained on"}
BOTH = {"activity"}


def list_beginnings() -> set[str]:
    """What texts in the code of these modules begin with, up to a colon."""
    texts = set()
    for place in PLACES:
        tree = ast.parse((ROOT / place).read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs]
        texts |= {node.value for node in constants if isinstance(node.value, str)}
    return {found[1] for text in texts if (found := re.match(r"([a-z][a-z ]*): ", text))}


def list_documented(heading: str) -> set[str]:
    """First column of the table with this heading."""
    text = (ROOT / "docs" / "rejections.md").read_text(encoding="utf-8")
    (rows,) = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    return set(re.findall(r"^\| `([^`]+)` \|", rows, re.M))


def test_every_reason_is_documented():
    rejecting = {check.name for check in CHECKS.values() if check.severity == "reject"}
    assert list_documented("reason begins with") == list_beginnings() - FLAGS | rejecting | {UNREADABLE, "no baseline"}


def test_every_flag_is_documented():
    flagging = {check.name for check in CHECKS.values() if check.severity == "flag"}
    assert list_documented("flag begins with") == flagging | FLAGS | BOTH | {"prior"}


@pytest.mark.parametrize("begins", ["grid", "activity", "unsure"])
def test_texts_of_the_code_are_found(begins):
    assert begins in list_beginnings()
