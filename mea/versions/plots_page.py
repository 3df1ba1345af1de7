"""The page of ``dvc plots`` with its scripts inside, so that it opens without internet: ``python -m
mea.versions.plots_page``.

DVC's own page loads the scripts that draw from the internet. The installation runs this module once: it writes a page
template beside DVC's settings, ``.dvc/plots.html``, and names it in ``.dvc/config.local``. Git ignores both; where this
module was not run, DVC takes its own page.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import vl_convert

from mea.runtime.command import end_plainly
from mea.runtime.errors import MeaError
from mea.runtime.files import fresh_file

DESCRIPTION = (
    "Make the page of `dvc plots` open without internet: writes .dvc/plots.html and names it in .dvc/config.local."
)
VEGA_LITE = "5.21"  # DVC's templates are written for version 5
PAGE = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
{refresh_tag}
<title>Plots</title>
<script>%s</script>
<style>
body { font-family: sans-serif } table { border-spacing: 15px }
/* DVC also draws a guess at every table that lies beside a plot; the plot shows it better. */
div[id$="_csv"], div[id$="_tsv"], div[id$="_json"] { display: none }
</style>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def write_page(path: Path) -> None:
    """Write the page template: DVC puts the plots into it, but not the links to its scripts, which it has no place for.

    Parameters
    ----------
    path
        The file to write.
    """
    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed", VEGA_LITE)
    with fresh_file(path) as work:
        work.write_text(PAGE % scripts, encoding="utf-8", newline="\n")


def main(argv: list[str] | None = None, prog: str = "mea plots-page") -> None:
    """The command line."""
    argparse.ArgumentParser(prog=prog, description=DESCRIPTION).parse_args(argv)
    with end_plainly("plots-page", "interrupted; the same command does it again."):
        settings = Path(".dvc")
        if not settings.is_dir():
            raise MeaError(f"{Path.cwd()}: no DVC project here. Run in the project's folder.")
        write_page(settings / "plots.html")
        subprocess.run(
            [sys.executable, "-m", "dvc", "config", "--quiet", "--local", "plots.html_template", "plots.html"],
            check=True,
        )
