"""The sections of the page, in order.

A room adds a section by one function that takes the :class:`~cisweave.report.data.ReportData` and gives blocks (none
when the run has nothing to show), and one line in :data:`SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cisweave.report.blocks import Block, Content
from cisweave.report.data import ReportData
from cisweave.report.sections.expression import expression_section
from cisweave.report.sections.genome import genome_section
from cisweave.report.sections.motifs import logos_section, motifs_section
from cisweave.report.sections.overview import overview_section, run_section
from cisweave.report.sections.seal import seal_section
from cisweave.report.sections.training import training_section
from cisweave.report.sections.truth import truth_section
from cisweave.report.sections.variants import variants_section
from cisweave.report.sections.xpresso import xpresso_section

Builder = Callable[[ReportData], Sequence[Block]]


@dataclass(frozen=True)
class Section:
    """A section: key (its anchor on the page), title, and the function that fills it."""

    key: str
    title: str
    build: Builder


SECTIONS = [
    Section("overview", "At a glance", overview_section),
    Section("truth", "Truth check", truth_section),
    Section("genome", "Genome", genome_section),
    Section("seal", "Seal", seal_section),
    Section("expression", "Expression", expression_section),
    Section("variants", "Top variants", variants_section),
    Section("xpresso", "Xpresso and its zoo", xpresso_section),
    Section("logos", "Logos", logos_section),
    Section("motifs", "Motifs", motifs_section),
    Section("training", "Training", training_section),
    Section("run", "What was run", run_section),
]


def build_sections(data: ReportData, sections: Sequence[Section] = SECTIONS) -> list[Content]:
    """Fill the sections; those with nothing to show are left out."""
    contents = [Content(section.key, section.title, section.build(data)) for section in sections]
    return [content for content in contents if content.blocks]
