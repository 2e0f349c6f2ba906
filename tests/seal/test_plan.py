"""What a run will take: counts, operations, memory and time, with nothing computed."""

import time

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from cisweave.cli import build
from cisweave.config import ClosestSettings, EngineSettings, PredictSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.files import read_json
from cisweave.models import folders
from cisweave.seal.engine.work import NetworkShape, cone_work, union_work, window_work
from cisweave.seal.plan import (
    PEAKS,
    SHARE_OF_PEAK,
    count_variants,
    describe,
    duration,
    expected_times,
    make_plan,
    measured_rate,
    rate_of,
)

VCF = """##fileformat=VCFv4.2
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
chr1\t1000\t.\tA\tC,G\t.\t.\t.
chr1\t1000\t.\tA\tC\t.\t.\t.
chr1\t1200\t.\tAT\tA\t.\t.\t.
chr1\t1300\t.\tAC\tGT\t.\t.\t.
chr1\t1400\t.\tA\t<DEL>\t.\t.\t.
chr1\t90000\t.\tA\tC\t.\t.\t.
"""
SHIFTS = list(range(-800, 801, 200))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "v.vcf").write_text(VCF)
    (tmp_path / "tss.bed").write_text("chr1\t1099\t1100\t+\tG1\n")
    return tmp_path


def test_counts_of_a_file(files):
    counts = count_variants(files / "v.vcf")
    assert (counts.alleles, counts.rejected, counts.distinct) == (7, 1, 5)
    assert (counts.same_length, counts.indels, counts.references) == (4, 1, 4)


def test_with_genes_only_what_is_near_them(files):
    counts = count_variants(files / "v.vcf", files / "tss.bed")
    assert (counts.alleles, counts.rejected, counts.pairs, counts.distinct, counts.references) == (7, 2, 5, 4, 3)


def test_operations_follow_from_the_counts(files):
    plan = make_plan(files / "v.vcf", files / "tss.bed", probe_seconds=0)
    shape = NetworkShape.published()
    assert plan.windows == 4 * 36
    assert plan.plain_gflop == pytest.approx(4 * 36 * 2 * window_work(shape) / 1e9)
    unions, cones = 2 * (3 + 1), 2 * 3
    assert (plan.unions, plan.cones) == (unions, cones)
    assert plan.fast_gflop == pytest.approx(
        2 * (unions * union_work(shape, SHIFTS) + cones * cone_work(shape, SHIFTS)) / 1e9
    )
    assert plan.gflop == plan.fast_gflop + plan.head_gflop
    plain = make_plan(files / "v.vcf", files / "tss.bed", engine=EngineSettings(path="plain"), probe_seconds=0)
    assert plain.gflop == plain.plain_gflop + plain.head_gflop


def test_one_substitution_costs_a_seventh(files):
    (files / "one.vcf").write_text(VCF.splitlines()[1] + "\nchr1\t1000\t.\tA\tC\t.\t.\t.\n")
    plan = make_plan(files / "one.vcf", probe_seconds=0)
    assert plan.plain_gflop == pytest.approx(280.9, abs=0.1)
    assert plan.plain_gflop / plan.fast_gflop == pytest.approx(7.1, abs=0.05)


def test_memory_does_not_grow_with_the_variants(files):
    rows = pd.read_csv(files / "v.vcf", sep="\t", skiprows=1)
    many = pd.concat([rows] * 50, ignore_index=True)
    many["POS"] = range(1000, 1000 + len(many))
    (files / "many.vcf").write_text("##fileformat=VCFv4.2\n" + many.to_csv(sep="\t", index=False))
    few, more = (make_plan(files / name, probe_seconds=0) for name in ("v.vcf", "many.vcf"))
    assert more.counts.distinct > 30 * few.counts.distinct
    assert few.memory_mib == more.memory_mib
    assert few.memory_mib["weights"] == pytest.approx(149_536_251 * 4 / 2**20)


def test_times_are_operations_over_rates():
    times = expected_times(1000.0, {"here": 250.0})
    assert times["here"] == {"measured": True, "gflop_per_s": 250.0, "seconds": 4.0}
    card, peaks = next(iter(PEAKS.items()))
    assert times[f"{card}, tf32"]["gflop_per_s"] == pytest.approx(peaks["tf32"] * 1000 * SHARE_OF_PEAK)
    assert not times[f"{card}, tf32"]["measured"]


def test_a_rate_is_work_over_time():
    rate = rate_of(lambda: time.sleep(0.01), 1.0, torch.device("cpu"), 0.1)  # type: ignore[arg-type,return-value]
    assert 20 < rate <= 100  # a sleep may last longer, never less


def test_the_rate_of_this_machine_is_of_its_kind():
    rate = measured_rate(NetworkShape.published(), torch.device("cpu"), 0.05)
    assert 1 < rate < 1e5


def test_haplotypes_cannot_be_planned(files):
    with pytest.raises(CisweaveError, match="mode: haplotype takes is known only once"):
        make_plan(files / "v.vcf", settings=PredictSettings(mode="haplotype"), probe_seconds=0)


def test_reach_of_a_tss_is_that_of_the_settings(files):
    (files / "tss.bed").write_text("chr1\t999\t1000\t+\tG\n")
    near, all_of_them = (
        make_plan(
            files / "v.vcf", files / "tss.bed", probe_seconds=0, closest=ClosestSettings(max_distance=distance)
        ).counts.distinct
        for distance in (250, 100_000)
    )
    assert near < all_of_them


def test_models_give_their_shapes_and_no_weights_are_read(files, monkeypatch):
    chromatin = {"tracks": 3, "channels": [4, 4, 6, 6, 8, 8], "hidden": 12, "window": 400}
    for name, kind, numbers in (
        ("chromatin", "beluga", chromatin),
        ("model", "expression", {"features": 30, "hidden": 7, "contexts": 2}),
    ):
        (files / name).mkdir()
        spec = {"architecture": kind, "hyperparameters": numbers, "outputs": ["a"]}
        (files / name / "model.yaml").write_text(folders.yaml.safe_dump(spec))
    windows = PredictSettings(max_shift=100, shift_step=100)
    plan = make_plan(files / "v.vcf", None, files / "chromatin", files / "model", settings=windows, probe_seconds=0)
    assert plan.shape == NetworkShape.from_hyperparameters(chromatin)
    assert plan.head_gflop == pytest.approx(2 * 6 * (3 * 3 * 5 * 3 * 7 + 7 * 2) / 1e9)


def test_nothing_to_score(files):
    (files / "none.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    plan = make_plan(files / "none.vcf", probe_seconds=0)
    assert (plan.gflop, plan.windows) == (0, 0)
    assert "nothing to do" in describe(plan)


@pytest.mark.parametrize(("seconds", "text"), [(3.04, "3.0 s"), (600, "10.0 min"), (36_000, "10.0 h")])
def test_times_for_people(seconds, text):
    assert duration(seconds) == text


def test_from_the_command_line(files):
    words = ["seal", "plan", "--vcf", str(files / "v.vcf"), "--tss", str(files / "tss.bed"), "--no-probe"]
    done = CliRunner().invoke(build(["seal"]), [*words, "--out", str(files / "plan.json"), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "7 in the file, 2 of them not scored" in done.output
    written = read_json(files / "plan.json")
    assert written["counts"]["distinct"] == 4
    assert written["windows"] == 144
    both = CliRunner().invoke(build(["seal"]), [*words, "--variants", str(files / "v.vcf")])
    assert both.exit_code != 0
