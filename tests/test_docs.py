"""Every command that README.md and docs/ tell a reader to type is typed; ``tests/builders/documents.py`` says how."""

from pathlib import Path

import pytest
from builders.documents import (
    DOCUMENTS,
    FOREIGN_SHELLS,
    LEAST_REASON,
    ROOT,
    SHELL,
    find_faults,
    prepare_clone,
    read_blocks,
    read_inline,
    run_block,
    split_commands,
)
from builders.lab import Lab, share_cache

NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
TYPED = [name for name in NAMES if any(block.is_run for block in read_blocks(ROOT / name))]
QUICK = [
    pytest.param(name, marks=[] if name == "README.md" else pytest.mark.slow)
    for name in TYPED
    if any(block.is_run and not block.is_slow for block in read_blocks(ROOT / name))
]


def clone(built_lab: Lab, tmp_path: Path) -> Lab:
    return prepare_clone(share_cache(built_lab, tmp_path / "project"))


# What the documents say of themselves


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_run_or_says_why_not(name):
    faults = []
    for block in read_blocks(ROOT / name):
        where = f"{name}:{block.line}: "
        excused = [mark for mark in block.marks if mark.kind == "not run" and not mark.command]
        faults += [f"{where}not a mark, or not in one line: {line}" for line in block.faults]
        faults += [f"{where}{mark.kind}: a reason, please" for mark in block.marks if len(mark.text) < LEAST_REASON]
        faults += [f"{where}fenced blocks only: nobody runs an indented one"] * (block.language == "indented")
        faults += [f"{where}{block.language} is not run: say why"] * (block.language in FOREIGN_SHELLS and not excused)
        if block.language == "" and any(find_faults(block.text) or words[0] in ("make", "dvc", "python", "git")
                                        for words in split_commands(block.text)):  # fmt: skip
            faults.append(f"{where}looks like commands: write ```sh")
        for mark in block.marks:
            if mark.command and mark.command not in block.text:
                faults.append(f"{where}no line of the block begins with {mark.command}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_there(name):
    """Also those that are not run, and those in running text."""
    path = ROOT / name
    said = [(block.line, block.text) for block in read_blocks(path) if block.language == SHELL]
    faults = [f"{name}:{line}: {fault}" for line, text in [*said, *read_inline(path)] for fault in find_faults(text)]
    assert not faults, "\n".join(faults)


# Typing them


@pytest.mark.parametrize("name", QUICK)
def test_quick_commands_can_be_typed(name, built_lab, tmp_path):
    lab = clone(built_lab, tmp_path)
    for block in read_blocks(ROOT / name):
        if block.is_run and not block.is_slow:
            run_block(block, lab)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TYPED if any(block.is_slow for block in read_blocks(ROOT / name))])
def test_all_commands_can_be_typed(name, built_lab, tmp_path):
    lab = clone(built_lab, tmp_path)
    for block in read_blocks(ROOT / name):
        if block.is_run:
            run_block(block, lab)


# What would be noticed


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("make reproduce", "make reproduce: the Makefile has no such target"),
        ("make repro && make  tets  # comment", "make tets: the Makefile"),
        ("MEA_QUIET=1 python -m mea.comparison a b", "python -m mea.comparison: no such module"),
        ("mea compare a --markdown", "mea compare: knows no --markdown"),
        ("python -m mea compare a --markdown", "mea compare: knows no --markdown"),
        ("mea comparison a b", "mea comparison: no such command"),
        ("python -m stages.classify --folder x", "python -m stages.classify: knows no --folder"),
        ("python tests/closures.py", "tests/closures.py: no such file"),
        ("dvc exp rerun", "dvc exp rerun: DVC does not know it"),
        ("dvc exp run --parameter a=b", "DVC does not know it"),
        ("git status; dvc exp run -S split.level=batch", "split.level: params.yaml has no such parameter"),
        ('make preset NAME=x SET="train.epoch=3"', "train.epoch: params.yaml has no such parameter"),
    ],
)
def test_a_command_that_is_not_there_is_noticed(command, fault):
    (found,) = find_faults(command)
    assert found.startswith(fault) or fault in found


def test_commands_that_are_there_are_left_alone():
    fine = "make repro  # a; b\nA=1 mea compare main \\\n    v1 --md > c.md\ndvc pull && dvc repro"
    assert find_faults(fine) == []
    assert split_commands("A=1 b 'c; d' | e\nf") == [["b", "c; d"], ["e"], ["f"]]


DOCUMENT = """# A document

Text.

```sh
git rev-parse HEAD
true  # fine
```

<!-- not run `git push`: nobody is there to take it -->
<!-- first: touch made_before -->
```sh
ls made_before
git push nowhere \\
    main
{}
```

<!-- not run: it would fail, and the test is to see that it is left out -->
```sh
false
```
"""


def write_document(folder: Path, last: str) -> list:
    path = folder / "page.md"
    path.write_text(DOCUMENT.format(last), encoding="utf-8")
    return read_blocks(path, folder)


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ("git chekout main", "git: 'chekout' is not a git command"),
        ("mea compare main --markdown", "unrecognized arguments: --markdown"),
        ("python -m stages.splitt", "No module named stages.splitt"),
        ("make reproduce", "No rule to make target"),
        ("dvc exp rerun", "dvc exp"),
        ("false | cat", "+ page.md:16: false"),
        ("echo Traceback", "Traceback"),
    ],
)
def test_a_planted_wrong_command_fails(planted, said, built_lab, tmp_path):
    lab = Lab(built_lab.folder)
    blocks = write_document(tmp_path, planted)
    assert [(block.line, block.is_run) for block in blocks] == [(6, True), (13, True), (21, False)]
    try:
        run_block(blocks[0], lab)
        with pytest.raises(AssertionError, match=r"page\.md, the block at line 13, ended with \d+") as fault:
            run_block(blocks[1], lab)
        assert said in str(fault.value) and "+ page.md:16: " in str(fault.value)
    finally:
        (lab.folder / "made_before").unlink(missing_ok=True)


def test_a_block_without_the_planted_command_passes(built_lab, tmp_path):
    lab = Lab(built_lab.folder)
    blocks = write_document(tmp_path, "echo well")
    try:
        assert "well" in run_block(blocks[1], lab)
    finally:
        (lab.folder / "made_before").unlink(missing_ok=True)
    assert blocks[2].write_script().strip() == "" and blocks[2].write_script(everything=True).strip() == "false"


def test_marks_that_are_none_are_noticed(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("<!-- not ran: because -->\n```sh\ntrue\n```\n\n    make indented\n", encoding="utf-8")
    first, second = read_blocks(path, tmp_path)
    assert first.faults == ("<!-- not ran: because -->",) and first.is_run and second.language == "indented"
