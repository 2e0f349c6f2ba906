"""Snakemake on a working folder of its own: dry runs, and runs that only pretend."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    """What a call of Snakemake gave."""

    status: int
    text: str
    jobs: list[dict[str, Any]]

    def rules(self) -> set[str]:
        """Rules of its jobs, without the target rule."""
        return {job["rule"] for job in self.jobs} - {"all"}

    def job(self, rule: str, **wildcards: str) -> dict[str, Any]:
        """The one job of a rule (and wildcards)."""
        found = [job for job in self.jobs if job["rule"] == rule and job["wildcards"].items() >= wildcards.items()]
        assert len(found) == 1, f"{len(found)} jobs of {rule}"
        return found[0]


@dataclass(frozen=True)
class Folder:
    """A working folder with a copy of ``config/``, outside the checkout."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> Folder:
        """Copy the configuration files to ``path``."""
        shutil.copytree(ROOT / "config", path / "config")
        return cls(path)

    @classmethod
    def of_own_data(cls, path: Path, fetch: str = "accept_licences: [expecto-academic]") -> Folder:
        """A folder with small data of a user's own in ``own.yaml``; the genome's files are those of the catalogue."""
        folder = cls.make(path)
        texts = {
            "my.vcf": "",
            "ctcf.bed": "",
            "tracks.tsv": "track\tpeaks\nCTCF\tctcf.bed\n",
            "contexts.tsv": "set\tcontext\ngeneral\tLiver\ntissue\tYoung\n",
            "g.tsv": "gene_id\tLiver\n",
            "t.tsv": "gene_id\tYoung\n",
            "own.yaml": "run: own\n"
            "seal: {tracks: tracks.tsv, contexts: contexts.tsv, expression: {general: g.tsv, tissue: t.tsv}}\n"
            "genome:\n  vcf: my.vcf\n  vcf_fasta: resources/hg38.fa\n  chain: resources/hg38ToHg19.over.chain.gz\n"
            f"  fetch: {{{fetch}}}\n",
        }
        for name, text in texts.items():
            (path / name).write_text(text)
        return folder

    def copy(self, path: Path) -> Folder:
        """Copy the folder; files keep their times, so that a finished run stays finished."""
        shutil.copytree(self.path, path, dirs_exist_ok=True)
        return Folder(path)

    def snakemake(self, *arguments: str, demo: bool = True, profile: str = "local", pretend: bool = False) -> Done:
        """Run Snakemake here, with the Snakefile and a profile of the checkout; ``demo``: all rooms of the demo."""
        out = self.path / "jobs.json"
        command = [sys.executable, str(ROOT / "tests/workflow/record_jobs.py"), str(out)]
        command += ["pretend"] if pretend else []
        command += ["--snakefile", str(ROOT / "workflow/Snakefile"), "--profile", str(ROOT / "profiles" / profile)]
        command += ["--configfile", "config/demo.yaml", "config/demo_all.yaml"] if demo else []
        environment = os.environ | {"XDG_CACHE_HOME": str(self.path / ".cache"), "PYTHONPATH": ""}
        done = subprocess.run(
            [*command, *arguments], cwd=self.path, capture_output=True, text=True, env=environment, check=False
        )
        jobs = json.loads(out.read_text()) if out.exists() else []
        out.unlink(missing_ok=True)
        return Done(done.returncode, done.stdout + done.stderr, jobs)

    def dry_run(self, *arguments: str, demo: bool = True, profile: str = "local") -> Done:
        """Ask which jobs would run."""
        return self.snakemake("--dry-run", *arguments, demo=demo, profile=profile)

    def finish(self, *arguments: str, demo: bool = True) -> None:
        """Pretend a finished run: every output is an empty file, and Snakemake has recorded it."""
        done = self.snakemake(*arguments, demo=demo, pretend=True)
        assert done.status == 0, done.text

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file; it must be there."""
        path = self.path / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
