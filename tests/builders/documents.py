"""The commands that our documents tell a reader to type, and what it takes to type them all.

Fenced blocks of the language ``sh`` are run, each document's in their order, in a clean clone with a tiny sample; each
begins in the clone's folder. A line ``<!-- KIND: TEXT -->`` directly above a block, which a reader does not see, says
otherwise:

- ``not run: REASON``: the block is not run;
- ``not run `COMMAND`: REASON``: of the block, the lines that begin with the command are not run;
- ``slow: REASON``: the block is run by ``make test-all`` alone;
- ``first: COMMANDS``: what a person does elsewhere, in an editor for instance, is done by these commands before it.

Also what is not run, and every command in running text, is compared with what there is: targets, modules, flags,
parameters.
"""

import re
import shlex
import subprocess
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path

from dvc.cli.parser import DvcParserError, get_main_parser
from markdown_it import MarkdownIt

from builders.lab import ROOT, Lab
from mea import __main__ as mea
from mea.runtime.params import load_params

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
SHELL = "sh"
FOREIGN_SHELLS = ("bash", "console", "powershell", "shell", "zsh")  # nobody runs these: each must say so
MARK = re.compile(r"<!-- (?P<kind>not run|slow|first)(?: `(?P<command>[^`]+)`)?: (?P<text>.+) -->")
LEAST_REASON = 10  # characters
COMMANDS = ("make", "python", "dvc", "mea")  # those that can be compared with what there is
PARAMETER = re.compile(r"(?:-S |--set |SET=)[\"']?([a-z0-9]+\.[A-Za-z_0-9.]+)=")
BEFORE = ("sudo", "nohup", "exec", "export", "!", "if", "then", "do")


@dataclass(frozen=True)
class Mark:
    """One line above a block: its kind, of which command (empty: of the whole block), and the text."""

    kind: str
    command: str
    text: str


@dataclass(frozen=True)
class Block:
    """One fenced block of a document.

    Attributes
    ----------
    document
        The document's path from the root.
    line
        Number of the block's first line in it, from 1.
    language
        As the fence says; empty where it says nothing.
    text
        What stands between the fences.
    marks
        The lines above it.
    faults
        What looks like such a line and is none.
    """

    document: str
    line: int
    language: str
    text: str
    marks: tuple[Mark, ...]
    faults: tuple[str, ...]

    @property
    def is_run(self) -> bool:
        """Whether anything of it is run."""
        return self.language == SHELL and not any(mark.kind == "not run" and not mark.command for mark in self.marks)

    @property
    def is_slow(self) -> bool:
        """Whether it is left to ``make test-all``."""
        return any(mark.kind == "slow" for mark in self.marks)

    def write_script(self, everything: bool = False) -> str:
        """What bash is given: lines keep their numbers in the document; what is not run is left empty.

        Parameters
        ----------
        everything
            Also what is marked as not run, but for single lines.
        """
        left_out = tuple(mark.command for mark in self.marks if mark.kind == "not run" and mark.command)
        lines, going_on = [], False
        for line in self.text.splitlines() if self.is_run or everything else []:
            leave = going_on or (bool(left_out) and line.strip().startswith(left_out))
            going_on = leave and line.endswith("\\")
            lines.append("" if leave else line)
        first = "; ".join(mark.text for mark in self.marks if mark.kind == "first")
        return "\n" * (self.line - 2) + first + "\n" * (self.line > 1) + "\n".join(lines) + "\n"


def read_blocks(path: Path, root: Path = ROOT) -> list[Block]:
    """Every fenced block of a document, in its order; an indented one counts as a block that names no language."""
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    blocks = []
    for number, token in enumerate(tokens):
        if token.type not in ("fence", "code_block"):
            continue
        above = []
        for before in reversed(tokens[:number]):
            if before.type != "html_block":
                break
            above[:0] = before.content.strip().splitlines()
        found = [MARK.fullmatch(line.strip()) for line in above]
        marks = tuple(Mark(hit["kind"], hit["command"] or "", hit["text"]) for hit in found if hit)
        faults = tuple(line for line, hit in zip(above, found) if not hit)
        line = token.map[0] + (2 if token.type == "fence" else 1)
        language = token.info.strip() if token.type == "fence" else "indented"
        blocks.append(Block(path.relative_to(root).as_posix(), line, language, token.content, marks, faults))
    return blocks


def read_inline(path: Path) -> list[tuple[int, str]]:
    """The commands in a document's running text: (line, command)."""
    tokens = MarkdownIt().enable("table").parse(path.read_text(encoding="utf-8"))
    found = [
        (token.map[0] + 1, child.content)
        for token in tokens
        if token.type == "inline"
        for child in token.children
        if child.type == "code_inline"
    ]
    return [(line, text) for line, text in found if text.split(" ")[0] in COMMANDS and " " in text]


# --- is there such a command? ----------------------------------------------------------------------------------------


def split_commands(text: str) -> list[list[str]]:
    """A script's simple commands as words, without variables set before them; comments are gone."""
    without_comments = re.sub(r"(?m)(^|\s)#.*$", r"\1", text.replace("\\\n", " "))
    lexer = shlex.shlex(without_comments, posix=True, punctuation_chars="();|&\n")
    lexer.whitespace_split, lexer.whitespace, lexer.commenters = True, " \t\r", ""
    commands: list[list[str]] = []
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();|&\n"):
            commands += [words] if words else []
            words = []
        elif words or not (re.match(r"[A-Za-z_]\w*=", word) or word in BEFORE):
            words.append(word)
    return commands


def find_faults(text: str, root: Path = ROOT) -> list[str]:
    """What of some commands is not there: make's target, Python's module, DVC's command or flag, a parameter.

    Parameters
    ----------
    text
        A script or a single command.
    root
        Where they would be typed.
    """
    faults = [_check_command(words, root) for words in split_commands(text)]
    params = load_params(root / "params.yaml")
    for key in PARAMETER.findall(text):
        section, name = key.split(".")[:2]
        if name not in params.get(section, {}):
            faults.append(f"{key}: params.yaml has no such parameter")
    return [fault for fault in faults if fault]


def _check_command(words: list[str], root: Path) -> str:
    program = Path(words[0]).name
    if program == "make":
        return _check_targets([word for word in words[1:] if "=" not in word and not word.startswith("-")], root)
    if program == "dvc":
        return _check_dvc(tuple(words[1:]))
    if program == "mea" or words[:3] == ["python", "-m", "mea"]:
        return _check_mea(words[1:] if program == "mea" else words[3:])
    if program == "python" and words[1:2] == ["-m"]:
        return _check_module(words[2], words[3:], root)
    if program == "python" and words[1:] and words[1].endswith(".py"):
        return "" if (root / words[1]).is_file() else f"{words[1]}: no such file"
    return ""


def _check_targets(targets: list[str], root: Path) -> str:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    missing = [name for name in targets if not re.search(rf"^{re.escape(name)}:", makefile, re.MULTILINE)]
    return f"make {missing[0]}: the Makefile has no such target" if missing else ""


@cache
def _check_dvc(words: tuple[str, ...]) -> str:
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            get_main_parser().parse_args(list(words))
    except DvcParserError:
        return f"dvc {' '.join(words)}: DVC does not know it"
    except SystemExit:  # --help, --version
        return ""
    return ""


def _check_mea(words: list[str]) -> str:
    name, *arguments = words or ["--help"]
    if name in ("--help", "--version", "COMMAND"):
        return ""
    if name not in mea.COMMANDS:
        return f"mea {name}: no such command"
    known = re.findall(r"--[a-z]+", _print_help(name))
    unknown = [flag for flag in _list_flags(arguments) if flag not in known]
    return f"mea {name}: knows no {unknown[0]}" if unknown else ""


@cache
def _print_help(name: str) -> str:
    with redirect_stdout(StringIO()) as said, suppress(SystemExit):
        mea.main([name, "--help"])
    return said.getvalue()


def _list_flags(arguments: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in arguments if re.match(r"--[a-z]", word)]


def _check_module(name: str, arguments: list[str], root: Path) -> str:
    if name.partition(".")[0] not in ("mea", "stages", "benchmarks") or "<" in name:
        return ""
    place = root.joinpath(*name.split("."))
    path = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
    if not path.is_file():
        return f"python -m {name}: no such module"
    flags, shared = _list_flags(arguments), root / "mea" / "runtime" / "command.py"
    source = path.read_text(encoding="utf-8") + shared.read_text(encoding="utf-8")
    # the flags of a stage are the keywords of its run_command
    known = [flag for flag in flags if any(text in source for text in (flag, f"{flag[2:]}="))]
    missing = [flag for flag in flags if flag not in [*known, "--help"]]
    return f"python -m {name}: knows no {missing[0]}" if missing else ""


# --- typing them -----------------------------------------------------------------------------------------------------


def prepare_clone(lab: Lab) -> Lab:
    """Make of a lab's clone what a reader has: a branch main on a server of its own."""
    server = lab.folder.parent / "server.git"
    lab.run("git", "checkout", "--quiet", "-B", "main")
    lab.run("git", "clone", "--quiet", "--bare", ".", str(server))
    lab.run("git", "remote", "set-url", "origin", str(server))
    lab.run("git", "fetch", "--quiet", "origin")
    lab.run("git", "branch", "--quiet", "--set-upstream-to", "origin/main")
    return lab


def run_block(block: Block, lab: Lab, everything: bool = False, **environment: str) -> str:
    """Type a block in a lab's folder and give what is said.

    Raises
    ------
    AssertionError
        If a command fails or shows a stack trace, naming its line in the document.
    """
    script = lab.folder.parent / Path(block.document).name
    script.write_text(block.write_script(everything), encoding="utf-8")
    trace = f"PS4='+ {block.document}:${{LINENO}}: '; set -x; . \"$1\""  # root's bash takes no PS4 from outside
    command = ["bash", "-eu", "-o", "pipefail", "-c", trace, "bash", str(script)]
    done = subprocess.run(command, **lab.describe_call(environment), stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stdout, (
        f"{block.document}, the block at line {block.line}, ended with {done.returncode}; its last lines:\n"
        + done.stdout[-6000:]
    )
    return done.stdout
