"""Remedies that messages print are followed, word by word, on a real project: afterwards all is as it was."""

import hashlib
import re

import pytest
from builders.lab import share_cache

DAMAGED = {  # what is damaged, and the stage that notices
    "data/array/*.npz": "split",
    "data/array/catalogue.csv": "split",
    "data/h5/*.h5": "array",
    "data/unzip/manifest.csv": "h5",
}
COMMAND = re.compile(r"Run (dvc repro --force --single-item \w+), then (dvc repro)\.")


@pytest.fixture(scope="module")
def lab(built_lab, tmp_path_factory):
    return share_cache(built_lab, tmp_path_factory.mktemp("remedies") / "project")


def hash_data(lab):
    files = (path for path in (lab.folder / "data").rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("pattern", "stage"),
    [pytest.param(*one, marks=[pytest.mark.slow] if "npz" not in one[0] else []) for one in DAMAGED.items()],
    ids=DAMAGED,
)
def test_damage_in_data_is_mended_by_what_the_message_says(lab, tmp_path, pattern, stage):
    before = hash_data(lab)
    path = sorted(lab.folder.glob(pattern))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.unlink()  # it may be a link into DVC's cache, which is to stay whole
    path.write_bytes(content)
    out = [f"--out={tmp_path / 'out'}", f"--metrics={tmp_path / 'metrics.json'}"]
    plots = [f"--plots={tmp_path / 'plots'}"] if stage == "array" else []
    said = lab.run("python", "-m", f"stages.{stage}", *out, *plots, status=1)
    first, then = COMMAND.search(said).groups()
    lab.run(*first.split())
    lab.run(*then.split())
    assert hash_data(lab) == before


def test_a_link_to_a_table_that_is_not_there_is_said(lab, tmp_path):
    (tmp_path / "raw").mkdir()
    source = next((lab.folder / "data/simulate/train").glob("*.zip"))
    (tmp_path / "raw/a.zip").write_bytes(source.read_bytes())
    (tmp_path / "raw/recordings.csv").symlink_to(tmp_path / "nowhere.csv")
    said = lab.run(
        "python", "-m", "stages.unzip", f"--source={tmp_path / 'raw'}", f"--out={tmp_path / 'out'}", status=1
    )
    assert "recordings.csv: a link to a file that is not there. Put the table there, or remove the link." in said
