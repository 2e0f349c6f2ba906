"""Damaged files by the thousand: no traceback, no crash, no hang, no allele lost, nothing half-written.

Every case is made from the seed and its number alone, so that it can be run again by itself::

    python -m tests.checks_genome.fuzz --seed 1 --case 4711
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.checks_genome.inputs import World

ROOT = Path(__file__).resolve().parents[2]
SEED = 1
CASE_SECONDS = 20
"""A case that takes longer hangs."""
DEAD_SECONDS = 90
"""A process that says nothing for so long hangs where no signal reaches it."""
MEMORY = 12 << 30
"""Address space of a process, in bytes."""
NOISE = ("[E::", "[W::", "Traceback", "Logging error")
"""What the standard error of a command must not hold."""


class FuzzReport(NamedTuple):
    """How many cases ran, and what went wrong in which."""

    cases: int
    failures: list[str]
    seconds: float = 0.0
    refused: int = 0


# --- one case ---------------------------------------------------------------------------------------------------------
class HangError(BaseException):
    """A case takes too long."""


def on_alarm(number: int, frame: FrameType | None) -> None:
    raise HangError(f"hangs: not done after {CASE_SECONDS} s")


class StrictHandler(logging.Handler):
    """Formats every message, so that one that cannot be formatted is an error."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not text.strip() or text.count("\n") > 3:
            raise ValueError(f"no message for people: {text[:200]!r}")


def kind_of(rng: random.Random) -> str:
    """The kind of a case."""
    from tests.checks_genome.journeys import KINDS

    return rng.choices(list(KINDS), weights=[share for share, _ in KINDS.values()])[0]


class Fuzzer:
    """Runs cases one after the other in this process.

    Parameters
    ----------
    seed
        Seed of all cases.
    folder
        An empty folder.
    """

    def __init__(self, seed: int, folder: Path):
        from cisweave.genome.nearest import PROGRAM
        from tests.checks_genome.inputs import build_world

        self.seed, self.folder = seed, folder
        self.has_bedops = shutil.which(PROGRAM) is not None
        (folder / "world").mkdir()
        self.world = build_world(folder / "world")
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        tempfile.tempdir = str(self.temporary)
        logger = logging.getLogger("cisweave")
        logger.handlers, logger.propagate = [StrictHandler()], False
        logger.setLevel(logging.INFO)

    def run(self, case: int, *, keep: bool = False) -> tuple[str, str]:
        """Run one case; what went wrong (empty where nothing did), and why it was refused (empty where it was not)."""
        from tests.checks_genome.journeys import KINDS, Journey

        rng = random.Random(f"{self.seed}:{case}")
        kind = kind_of(rng)
        folder = self.folder / f"case-{case}"
        folder.mkdir()
        journey = Journey(rng, self.world, folder, self.has_bedops)
        problem = ""
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, CASE_SECONDS)
        try:
            with warnings.catch_warnings(record=True) as shown:
                warnings.simplefilter("ignore")
                for category in (RuntimeWarning, UserWarning, FutureWarning):
                    warnings.simplefilter("always", category)
                KINDS[kind][1](journey)
            problem = "; ".join(f"warns: {each.category.__name__}: {each.message}" for each in shown[:1])
        except (Exception, HangError) as error:  # noqa: BLE001 - this is what is looked for
            if keep:
                traceback.print_exc()
            problem = describe(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if not problem and any(self.temporary.iterdir()):
            problem = f"temporary files are left: {sorted(each.name for each in self.temporary.iterdir())}"
        for each in self.temporary.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        if keep:
            print(f"the files are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
        return (f"case {case} ({kind}): {problem}" if problem else ""), journey.refused


def describe(error: BaseException) -> str:
    """An error and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    return f"{type(error).__name__}: {str(error)[:600]} [{where}]"


# --- a process of cases -----------------------------------------------------------------------------------------------
def work(seed: int, cases: Iterator[int] | range) -> None:
    """Run cases and tell about each on standard output, as lines of JSON."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def tell(**news: object) -> None:
        print(json.dumps(news), file=out, flush=True)

    with own_folder() as folder:
        fuzzer = Fuzzer(seed, folder)
        files = 0
        for done, case in enumerate(cases):
            tell(case=case)
            problem, refused = fuzzer.run(case)
            tell(case=case, problem=problem, refused=bool(refused))
            if done == 20:
                files = open_files()
        if files and open_files() > files + 10:
            tell(problem=f"{open_files()} files are open after the last case, {files} were after 20")
        tell(end=True)


def open_files() -> int:
    """Files that this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that is removed at the end."""
    memory = Path("/dev/shm")  # where there is such a thing, thousands of small files cost less there
    path = Path(tempfile.mkdtemp(prefix="cisweave-fuzz-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        yield path
    finally:
        tempfile.tempdir = None
        shutil.rmtree(path, ignore_errors=True)


def command_of(*words: object) -> list[str]:
    """This module as a process."""
    return [sys.executable, "-m", "tests.checks_genome.fuzz", *map(str, words)]


def environment() -> dict[str, str]:
    """Where processes find the code, and their one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@dataclass
class Worker:
    """A process that runs every ``step``-th case, and starts anew after a case that kills it."""

    seed: int
    next_case: int
    step: int
    cases: int
    failures: list[str]
    refused: int = 0
    heard: float = 0.0
    current: int | None = None
    ended: bool = False
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> IO[str] | None:
        """Start the process on the cases that are left; ``None`` where there is none."""
        if self.next_case >= self.cases:
            return None
        command = command_of("--seed", self.seed, "--work", self.next_case, self.cases, self.step)
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.heard, self.current, self.ended = time.monotonic(), None, False
        assert self.process.stdout is not None
        return self.process.stdout

    def hear(self, line: str) -> None:
        """Take in one line of the process."""
        news = json.loads(line)
        self.heard = time.monotonic()
        self.current = news.get("case", self.current)
        if "problem" in news:
            self.refused += news.get("refused", False)
            if news["problem"]:
                self.failures.append(news["problem"])
            if "case" in news:
                self.next_case = news["case"] + self.step
        self.ended = self.ended or "end" in news

    def is_dead(self) -> bool:
        """Whether the process has said nothing for too long."""
        return time.monotonic() - self.heard > DEAD_SECONDS

    def finish(self, reason: str = "") -> None:
        """Close a process that is at its end, or end it; where it did not run to its end the case is a failure."""
        assert self.process is not None
        if reason:
            self.process.kill()
        status = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        if not self.ended:
            why = reason or (f"dies of signal {-status}" if status < 0 else f"ends the process with status {status}")
            case = self.next_case if self.current is None else self.current
            self.failures.append(f"case {case}: {why}")
            self.next_case = case + self.step


def fuzz(cases: int = 10_000, seed: int = SEED, jobs: int = 2) -> FuzzReport:
    """Run cases 0, 1, 2, … in ``jobs`` processes.

    Returns
    -------
    FuzzReport
        The failures name their case; ``refused`` counts the cases in which a file was refused with a message.
    """
    started = time.monotonic()
    workers = [Worker(seed, number, jobs, cases, []) for number in range(jobs)]
    with selectors.DefaultSelector() as selector:

        def start(worker: Worker) -> None:
            stream = worker.start()
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, worker)

        for worker in workers:
            start(worker)
        while selector.get_map():
            for key, _ in selector.select(timeout=5):
                line = key.fileobj.readline()  # type: ignore[union-attr]
                if line:
                    key.data.hear(line)
                    continue
                selector.unregister(key.fileobj)
                key.data.finish()
                start(key.data)
            for key in list(selector.get_map().values()):
                if key.data.is_dead():
                    selector.unregister(key.fileobj)
                    key.data.finish(f"hangs: nothing heard for {DEAD_SECONDS} s")
                    start(key.data)
    failures = sorted(failure for worker in workers for failure in worker.failures)
    return FuzzReport(cases, failures, time.monotonic() - started, sum(worker.refused for worker in workers))


# --- the command line -------------------------------------------------------------------------------------------------
def command_lines(rng: random.Random, world: World, folder: Path) -> tuple[list[str], bytes | None]:
    """Words of a command on a damaged file, and what goes into its standard input."""
    from tests.checks_genome import inputs
    from tests.checks_genome.mutations import mutate_text, write_packed

    vcf = inputs.vcf(rng, world)
    genes_kind = rng.choice(list(inputs.GENE_FORMATS))
    genes = inputs.GENE_FORMATS[genes_kind](inputs.gene_models(rng, world))
    whole, damaged = folder / "whole.vcf", folder / "given"
    whole.write_bytes(vcf)
    damaged.mkdir()

    def damage(data: bytes, name: str) -> str:
        return str(write_packed(rng, mutate_text(rng, data), damaged / name))

    fasta = ["--fasta", str(world.fasta)]
    ends = ["--out", str(folder / "out.tsv"), "--rejects", str(folder / "rejects.tsv")]
    vcf_ends = ["--out", str(folder / "out.vcf.gz"), "--rejects", str(folder / "rejects.tsv")]
    verb = rng.choice(("normalize", "normalize -", "liftover", "liftover --bed", "closest-tss", "extract", "ledger"))
    stdin = None
    if verb == "normalize":
        words = ["normalize", "--vcf", damage(vcf, "v.vcf"), *fasta, *vcf_ends]
    elif verb == "normalize -":
        stdin = Path(damage(vcf, "v.vcf")).read_bytes()
        words = ["normalize", "--vcf", "-", *fasta, *vcf_ends]
    elif verb == "liftover":
        chain = damage(world.chain_text.encode(), "c.chain")
        words = ["liftover", "--vcf", str(whole), "--chain", chain, "--fasta", str(world.target_fasta), *vcf_ends]
    elif verb == "liftover --bed":
        words = ["liftover", "--bed", damage(inputs.bed(rng, world), "b.bed"), "--chain", str(world.chain), *ends]
    elif verb == "closest-tss":
        words = ["closest-tss", "--vcf", str(whole), "--genes", damage(genes, genes_kind), *ends]
    elif verb == "extract":
        words = ["extract", *fasta, "--out", str(folder / "o.h5"), "--loci", damage(inputs.loci(rng, world), "l.tsv")]
    else:
        rejects = damage(b"stage\tline\trecord\tallele\tcontig\tposition\tref\talt\tcode\tmessage\n", "r.tsv")
        scored = damage(b"record\tallele\n1\t1\n", "s.tsv")
        words = ["ledger", "--variants", str(whole), "--rejects", rejects, "--scored", scored]
        words += ["--out", str(folder / "ledger.tsv"), "--summary", str(folder / "ledger.json")]
    return words, stdin


def fuzz_commands(cases: int = 40, seed: int = SEED) -> list[str]:
    """Damaged files through ``cisweave genome``: status 0 or 2, a message for people, no traceback."""
    from tests.checks_genome.inputs import build_world

    failures = []
    with own_folder() as folder:
        (folder / "world").mkdir()
        world = build_world(folder / "world")
        for case in range(cases):
            own = folder / f"case-{case}"
            own.mkdir()
            words, stdin = command_lines(random.Random(f"{seed}:command:{case}"), world, own)
            command = [sys.executable, "-m", "cisweave", "genome", *words]
            try:
                done = subprocess.run(
                    command,
                    cwd=own,
                    env=environment(),
                    input=stdin or b"",
                    capture_output=True,
                    check=False,
                    timeout=DEAD_SECONDS,
                )
            except subprocess.TimeoutExpired:
                failures.append(f"command {case} ({words[0]}): hangs")
                continue
            told = done.stderr.decode(errors="replace")
            noise = [mark for mark in NOISE if mark in told]
            left = sorted(path.name for path in own.iterdir() if path.name.startswith(".partial"))
            silent = done.returncode != 0 and "cisweave: " not in told
            if done.returncode not in (0, 2) or noise or left or silent:
                failures.append(
                    f"command {case} ({words[0]}): status {done.returncode}, {noise}, {left}: {told[-600:]}"
                )
    return failures


# --- by itself --------------------------------------------------------------------------------------------------------
def main() -> int:
    """Run some cases, or one again."""
    parser = argparse.ArgumentParser(description="Damaged files through the genome room.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--commands", type=int, help="run so many commands instead")
    parser.add_argument("--case", type=int, help="run this case alone, here, and keep its files")
    parser.add_argument("--work", type=int, nargs=3, metavar=("FROM", "TO", "STEP"), help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.work:
        work(words.seed, range(*words.work))
        return 0
    if words.case is not None:
        folder = Path(tempfile.mkdtemp(prefix="cisweave-fuzz-"))
        problem, refused = Fuzzer(words.seed, folder).run(words.case, keep=True)
        print(problem or f"well; {refused or 'not refused'}")
        return int(bool(problem))
    if words.commands is not None:
        failures = fuzz_commands(words.commands, words.seed)
        print("\n".join([*failures, f"{words.commands} commands, {len(failures)} failures"]))
        return int(bool(failures))
    report = fuzz(words.cases, words.seed, words.jobs)
    for failure in report.failures:
        print(failure)
    print(f"{report.cases} cases, {len(report.failures)} failures, {report.refused} refused, {report.seconds:.0f} s")
    return int(bool(report.failures))


if __name__ == "__main__":
    sys.exit(main())
