"""The unzip stage's command, as a user runs it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]


def run_unzip(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.unzip", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_source_flag_needs_no_parameter_file(tmp_path):
    (tmp_path / "raw").mkdir()
    with zipfile.ZipFile(tmp_path / "raw" / "a.zip", "w") as archive:
        archive.writestr("x.h5", b"1")
    (tmp_path / "raw" / "b.zip").write_bytes(b"broken")
    done = run_unzip("--source", tmp_path / "raw", "--out", tmp_path / "out", "--params", tmp_path / "missing.yaml")
    assert done.returncode == 0, done.stderr
    assert f"1 files unpacked to {tmp_path / 'out'}" in done.stdout
    assert "cannot be used: b.zip: not a zip archive" in done.stdout
    manifest = pd.read_csv(tmp_path / "out" / "manifest.csv", keep_default_na=False)
    assert list(manifest.columns) == ["recording", "archive", "member", "file", "bytes", "sha256", "error"]
    assert list(manifest.recording) == ["x", "b.zip"]
    assert (tmp_path / "out" / "a.zip" / "x.h5").read_bytes() == b"1"


def test_source_from_the_parameter_file(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"1")
    (tmp_path / "params.yaml").write_text(f"unzip:\n  source: {tmp_path / 'x.h5'}\nh5: {{reader: own}}\n")
    done = run_unzip("--out", tmp_path / "out", "--params", tmp_path / "params.yaml")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "x.h5").exists()


def test_a_missing_source_ends_with_status_1_and_no_stack_trace(tmp_path):
    done = run_unzip("--source", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith(f"unzip: {tmp_path / 'nowhere'}: no such folder or file. Put archives")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_names_flags_and_the_parameter():
    done = run_unzip("--help")
    assert done.returncode == 0
    for word in ("--source", "--out", "--params", "--set", "unzip.source"):
        assert word in done.stdout
