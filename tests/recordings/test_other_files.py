"""Files of other kinds: nothing is left out without a word; what an operating system left is."""

import zipfile

import pytest
from builders.recordings import write_small_spike_times

from mea.recordings.archives import find_entries, unpack
from mea.recordings.other_files import explain_other_files, is_hidden
from mea.runtime.errors import MeaError
from stages.unzip import Params, unzip


def list_taken(source):
    """What is unpacked of a source."""
    return {(entry.archive, entry.member) for entry in find_entries(source)}


def test_rigs_own_files_are_named_with_what_to_export(tmp_path, capsys):
    raw = tmp_path / "raw"
    (raw / "week 1").mkdir(parents=True)
    write_small_spike_times(raw / "good.h5")
    for name in ("a.mcd", "b.mcd", "c.mcd", "d.mcd", "week 1/e.raw", "week 1/f.nex", "notes.csv", "~$notes.xlsx",
                 "Thumbs.db", "desktop.ini", ".DS_Store", "readme.md", "recordings.csv"):  # fmt: skip
        (raw / name).write_bytes(b"1,2\n")
    with zipfile.ZipFile(raw / "x.zip", "w") as archive:
        archive.write(raw / "good.h5", "inside.h5")
        archive.writestr("g.spk", b"1")
        archive.writestr("__MACOSX/._g.spk", b"1")
    said = explain_other_files(raw, list_taken(raw))
    assert said == [
        "4 files left out (.mcd: MC_Rack's own format: export HDF5 with Multi Channel DataManager): a.mcd, b.mcd, "
        "c.mcd, …",
        "1 file left out (.nex: read by the package neo, with h5.reader: neo; or export spike times as a table): "
        "week 1/f.nex",
        "1 file left out (.raw: a closed format, such as Axion's: export a spike list (CSV) with AxIS Navigator): "
        "week 1/e.raw",
        "1 file left out (.spk: Axion's spikes, a closed format: export a spike list (CSV) with AxIS Navigator): "
        "x.zip/g.spk",
        "1 file left out (.csv: of a kind that is not read): notes.csv",
    ]
    assert {entry.member for entry in find_entries(raw)} == {"good.h5", "inside.h5"}
    unzip(Params(source=str(raw), reader="own"), tmp_path / "out")
    printed = capsys.readouterr()
    assert all(f"unzip: {sentence}" in printed.out + printed.err for sentence in said)


def test_a_folder_of_nothing_else_says_what_there_is(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.spk").write_bytes(b"1")
    with pytest.raises(
        MeaError, match=r"holds no recordings\. 1 file left out \(\.spk: Axion's spikes, a closed format"
    ):
        unpack(tmp_path / "raw", tmp_path / "out")


def test_nothing_is_said_where_nothing_is_left_out(tmp_path):
    write_small_spike_times(tmp_path / "good.h5")
    for source in (tmp_path, tmp_path / "good.h5"):
        assert explain_other_files(source, list_taken(source)) == []


@pytest.mark.parametrize(
    ("path", "hidden"),
    [("a/.DS_Store", True), ("._x.zip", True), ("__MACOSX/x.h5", True), ("Thumbs.db", True), ("~$t.xlsx", True),
     ("a.h5", False), ("../x.h5", False), ("thumbs.h5", False)],
)  # fmt: skip
def test_litter(path, hidden):
    assert is_hidden(path) == hidden
