"""The report: one self-contained HTML page that opens without a network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files as package_files
from pathlib import Path

from cisweave import __version__
from cisweave.core.files import atomic_text
from cisweave.core.logs import get_logger
from cisweave.report.blocks import Content
from cisweave.report.data import ReportData, ReportFiles
from cisweave.report.sections import SECTIONS, Section, build_sections
from cisweave.tables.receipts import settings_hash, write_receipt

__all__ = ["ReportFiles", "write_report"]

logger = get_logger(__name__)


def write_report(files: ReportFiles, out: str | Path, sections: Sequence[Section] = SECTIONS) -> None:
    """Write the page; the same results give the same bytes.

    Parameters
    ----------
    files
        The results; what is absent is left out of the page.
    out
        HTML file to write. Styles, script and figures are inside it.
    sections
        The sections, in order.
    """
    data = ReportData(files)
    contents = build_sections(data, sections)
    with atomic_text(out) as handle:
        handle.write(render(files.run, contents))
    write_receipt(out, settings={"config_sha256": settings_hash(data.config)}, inputs=files.inputs())
    logger.info("%s: %s", out, ", ".join(content.title.lower() for content in contents))


def render(run: str, contents: Sequence[Content]) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cisweave.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates = package_files("cisweave.report") / "templates"
    return environment.get_template("page.html.j2").render(
        run=run,
        version=__version__,
        contents=contents,
        style=(templates / "page.css").read_text(encoding="utf-8"),
        script=(templates / "page.js").read_text(encoding="utf-8"),
    )
