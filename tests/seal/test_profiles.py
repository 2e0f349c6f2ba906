"""TSS profiles against windows predicted one by one; parts, and jobs that were killed."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import torch

from cisweave.config import ProfileSettings
from cisweave.core.errors import CisweaveError
from cisweave.core.parts import Part
from cisweave.models.beluga import Beluga
from cisweave.models.folders import ModelSpec, load_model, save_model
from cisweave.seal import profiles
from cisweave.seal.profiles import index_profiles, profile_tss, read_profiles
from cisweave.seal.spatial import gene_features
from tests.seal import plain

SHAPE = {"tracks": 3, "channels": [4, 4, 6, 6, 8, 8], "hidden": 12, "window": 400}
SETTINGS = ProfileSettings(bins=8)
GENES = [
    ("chr2", 900, "+", "late"),
    ("chr1", 3400, "-", "minus"),
    ("chr1", 2500, "+", "plus"),
    ("chr1", 30, "+", "start"),
    ("chr1", 30, "-", "start-"),
    ("chr10", 1200, "-", "end"),
]
ORDER = ["start", "start-", "plus", "minus", "end", "late"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three contigs with a run of N and lower-case bases, genes out of order, and a random model."""
    folder = tmp_path_factory.mktemp("profiles")
    random = np.random.default_rng(5)
    contigs = {
        name: "".join(random.choice(list("ACGT"), n)) for name, n in (("chr1", 6000), ("chr2", 2000), ("chr10", 1200))
    }
    contigs["chr1"] = contigs["chr1"][:2600] + "N" * 90 + contigs["chr1"][2690:3000] + contigs["chr1"][3000:].lower()
    (folder / "genome.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in contigs.items()))
    (folder / "tss.bed").write_text("".join(f"{c}\t{t - 1}\t{t}\t{s}\t{g}\n" for c, t, s, g in GENES))
    torch.manual_seed(0)
    history = pd.DataFrame({"epoch": [0]})
    save_model(folder / "chromatin", Beluga(**SHAPE), ModelSpec("beluga", SHAPE, ["a", "b", "c"]), {}, history)
    return folder, {name: bases.upper() for name, bases in contigs.items()}


def run(folder, out, settings=SETTINGS, **options):
    profile_tss(folder / "genome.fa", folder / "tss.bed", folder / "chromatin", out, settings, "cpu", **options)
    return read_profiles(out)


@pytest.fixture(scope="module")
def store(world):
    return run(world[0], world[0] / "whole.h5")


def test_every_bin_of_every_gene_against_single_windows(world, store):
    network = load_model(world[0] / "chromatin").module
    assert store.genes.gene_id.tolist() == ORDER
    for row, gene in enumerate(store.genes.itertuples()):
        expected = plain.gene_profile(network, world[1][gene.chrom], gene.tss, gene.strand, 8, 200, 400)
        np.testing.assert_allclose(store.profile(row), expected, atol=1e-6)
    assert store.profile(0).std() > 0.01


def test_features_are_those_of_the_stored_profile(store):
    for row in range(len(store)):
        expected = plain.features(store.profile(row), store.centres, store.settings.decay)
        np.testing.assert_allclose(store.features[row], expected, rtol=1e-6)
        np.testing.assert_allclose(gene_features(store, np.array([row]))[0], expected, rtol=1e-12)


@pytest.mark.parametrize(("bins", "bin_size"), [(6, 50), (4, 25), (10, 100)])
def test_other_bins(world, tmp_path, bins, bin_size):
    store = run(world[0], tmp_path / "p.h5", ProfileSettings(bins=bins, bin_size=bin_size))
    network = load_model(world[0] / "chromatin").module
    for row, gene in enumerate(store.genes.itertuples()):
        expected = plain.gene_profile(network, world[1][gene.chrom], gene.tss, gene.strand, bins, bin_size, 400)
        np.testing.assert_allclose(store.profile(row), expected, atol=1e-6)


def test_features_on_edges_have_windows_of_their_own(world, store, tmp_path):
    edges = run(world[0], tmp_path / "p.h5", ProfileSettings(bins=8, grid="edge"))
    network = load_model(world[0] / "chromatin").module
    places = np.arange(-800, 800, 200)
    for row, gene in enumerate(edges.genes.itertuples()):
        contig, sign = world[1][gene.chrom], 1 if gene.strand == "+" else -1
        windows = [slice(gene.tss + sign * place - 200, gene.tss + sign * place + 200) for place in places]
        sequences = [
            "".join(contig[i] if 0 <= i < len(contig) else "N" for i in range(w.start, w.stop)) for w in windows
        ]
        profile = np.stack([plain.probability(network, sequence) for sequence in sequences])
        np.testing.assert_allclose(
            edges.features[row], plain.features(profile, places, edges.settings.decay), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_array_equal(edges.profile(row), store.profile(row))
    np.testing.assert_array_equal(edges.centres, store.centres)
    np.testing.assert_array_equal(gene_features(edges, np.arange(6)), gene_features(store, np.arange(6)))


def test_features_of_the_same_windows_weighted_at_the_edges(world, store, tmp_path):
    edges = run(world[0], tmp_path / "p.h5", ProfileSettings(bins=8, grid="edge-weights"))
    expected = plain.features(store.profile(2), np.arange(-800, 800, 200), store.settings.decay)
    np.testing.assert_allclose(edges.features[2], expected, rtol=1e-6)
    assert np.abs(edges.features[2] - store.features[2]).max() > 0.01


def test_half_precision_is_that_of_the_whole(world, store, tmp_path):
    half = run(world[0], tmp_path / "p.h5", ProfileSettings(bins=8, dtype="float16"))
    for row in range(len(store)):
        np.testing.assert_array_equal(half.profile(row), store.profile(row).astype(np.float16).astype(np.float32))
        expected = plain.features(half.profile(row), half.centres, half.settings.decay)
        np.testing.assert_allclose(half.features[row], expected, rtol=1e-6)
    assert (tmp_path / "p.h5").stat().st_size < (world[0] / "whole.h5").stat().st_size


@pytest.mark.parametrize("parts", [1, 2, 4, 8])
def test_parts_together_are_the_whole(world, store, tmp_path, parts):
    shards = [tmp_path / f"{number}.h5" for number in range(1, parts + 1)]
    for number, shard in enumerate(shards, start=1):
        run(world[0], shard, part=Part(number, parts))
    index_profiles(shards[::-1], tmp_path / "index.json")
    joined = read_profiles(tmp_path / "index.json", verify=True)
    pd.testing.assert_frame_equal(joined.genes, store.genes)
    np.testing.assert_array_equal(joined.features, store.features)
    for row in range(len(store)):
        np.testing.assert_array_equal(joined.profile(row), store.profile(row))


def cisweave(*words):
    command = [sys.executable, "-m", "cisweave", "seal", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_parts_and_their_index_by_the_command_line(world, store, tmp_path):
    inputs = ["--fasta", world[0] / "genome.fa", "--tss", world[0] / "tss.bed", "--chromatin", world[0] / "chromatin"]
    inputs += ["--settings", '{"bins": 8}', "--device", "cpu"]
    shards = [tmp_path / "1.h5", tmp_path / "2.h5"]
    for number, shard in enumerate(shards, start=1):
        result = cisweave("profile-tss", *inputs, "--out", shard, "--part", f"{number}/2")
        assert result.returncode == 0, result.stderr
    result = cisweave("index-profiles", *shards[::-1], "--out", tmp_path / "index.json")
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(read_profiles(tmp_path / "index.json").features, store.features)
    result = cisweave("profile-tss", *inputs, "--out", tmp_path / "3.h5", "--part", "3/2")
    assert (result.returncode, result.stderr) == (2, "cisweave: part 3/2 does not exist; write 1/2 to 2/2\n")


def test_the_same_bytes_again(world, store, tmp_path):
    run(world[0], tmp_path / "p.h5")
    assert (tmp_path / "p.h5").read_bytes() == (world[0] / "whole.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.h5", "p.h5.receipt.json"]


# --- jobs that were killed --------------------------------------------------------------------------------------------
KILLED = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from cisweave.config import ProfileSettings
    from cisweave.seal import profiles

    folder, out, genes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    predict, done = profiles.gene_profile, []

    def until(*arguments):
        if len(done) == genes:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(1)
        return predict(*arguments)

    profiles.gene_profile = until
    inputs = folder / "genome.fa", folder / "tss.bed", folder / "chromatin"
    profiles.profile_tss(*inputs, out, ProfileSettings(bins=8), "cpu")
""")


def kill_after(folder, out, genes):
    command = [sys.executable, "-c", KILLED, folder, out, str(genes)]
    result = subprocess.run(command, check=False, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert not out.exists()


def counted(monkeypatch):
    """Genes that are predicted from now on."""
    seen, predict = [], profiles.gene_profile

    def count(network, genome, chrom, tss, strand, *rest):
        seen.append((chrom, tss, strand))
        return predict(network, genome, chrom, tss, strand, *rest)

    monkeypatch.setattr(profiles, "gene_profile", count)
    return seen


def test_a_killed_job_goes_on_after_the_last_whole_gene(world, store, tmp_path, monkeypatch):
    kill_after(world[0], tmp_path / "p.h5", 4)
    seen = counted(monkeypatch)
    run(world[0], tmp_path / "p.h5")
    assert seen == [("chr10", 1200, "-"), ("chr2", 900, "+")]
    assert (tmp_path / "p.h5").read_bytes() == (world[0] / "whole.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.h5", "p.h5.receipt.json"]


def test_a_job_killed_before_its_first_gene(world, store, tmp_path):
    kill_after(world[0], tmp_path / "p.h5", 0)
    run(world[0], tmp_path / "p.h5")
    assert (tmp_path / "p.h5").read_bytes() == (world[0] / "whole.h5").read_bytes()


def test_work_of_other_settings_or_inputs_is_not_gone_on_with(world, tmp_path, monkeypatch):
    kill_after(world[0], tmp_path / "p.h5", 4)
    seen = counted(monkeypatch)
    half = run(world[0], tmp_path / "p.h5", ProfileSettings(bins=8, dtype="float16"))
    assert len(seen) == 6
    assert half.profile(0).max() > 0


def test_genes_that_were_not_written_whole_are_predicted_again(world, store, tmp_path, monkeypatch):
    kill_after(world[0], tmp_path / "p.h5", 4)
    work = tmp_path / ".resume-p.h5"
    bytes_ = bytearray(work.read_bytes())
    place = bytes_.index(store.profile(2).tobytes())
    bytes_[place : place + 4] = b"\0\0\0\0"
    work.write_bytes(bytes_)
    seen = counted(monkeypatch)
    run(world[0], tmp_path / "p.h5")
    assert seen[0] == ("chr1", 2500, "+")
    assert len(seen) == 4
    assert (tmp_path / "p.h5").read_bytes() == (world[0] / "whole.h5").read_bytes()


@pytest.mark.parametrize("spoil", ["cut", "journal", "gone"])
def test_spoilt_work_is_begun_anew(world, store, tmp_path, spoil):
    kill_after(world[0], tmp_path / "p.h5", 4)
    work, journal = tmp_path / ".resume-p.h5", tmp_path / ".resume-p.h5.journal"
    if spoil == "cut":
        os.truncate(work, 300)
    elif spoil == "journal":
        os.truncate(journal, journal.stat().st_size - 3)
    else:
        work.unlink()
    run(world[0], tmp_path / "p.h5")
    assert (tmp_path / "p.h5").read_bytes() == (world[0] / "whole.h5").read_bytes()


# --- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr7\t9\t10\t+\tstrange\n", "1 of 7 genes lie outside the FASTA, the first is strange on chr7"),
        ("chr2\t2000\t2001\t+\tbeyond\n", "the first is beyond at chr2:2001, beyond the 2000 bases of its contig"),
    ],
)
def test_genes_outside_the_fasta_are_refused_before_any_work(world, tmp_path, line, message):
    bed = tmp_path / "tss.bed"
    bed.write_text((world[0] / "tss.bed").read_text() + line)
    with pytest.raises(CisweaveError, match=message):
        profile_tss(world[0] / "genome.fa", bed, world[0] / "chromatin", tmp_path / "p.h5", SETTINGS, "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["tss.bed"]


def test_a_model_that_gives_no_numbers_is_refused(world, tmp_path):
    loaded = load_model(world[0] / "chromatin")
    loaded.module.head[-1].bias.data[:] = float("nan")
    save_model(tmp_path / "broken", loaded.module, loaded.spec, {}, pd.DataFrame({"epoch": [0]}))
    with pytest.raises(CisweaveError, match="the profile of gene start holds values that are not finite"):
        profile_tss(
            world[0] / "genome.fa", world[0] / "tss.bed", tmp_path / "broken", tmp_path / "p.h5", SETTINGS, "cpu"
        )
    assert not (tmp_path / "p.h5").exists()


def test_a_part_that_does_not_exist():
    assert Part.parse("3/8") == Part(3, 8)
    assert [Part(number, 3).rows(10) for number in (1, 2, 3)] == [slice(0, 3), slice(3, 6), slice(6, 10)]
    for text in ("0/2", "3/2"):
        with pytest.raises(CisweaveError, match=f"part {text} does not exist; write 1/2 to 2/2"):
            Part.parse(text)
    for text in ("3", "-1/2", "1/2/3", "a/b", ""):
        with pytest.raises(CisweaveError, match="is not a part; write the number, a slash and how many"):
            Part.parse(text)


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_profiles_are_made_in_the_arithmetic_asked_for(world, tmp_path, monkeypatch, precision):
    seen = []
    whole = profiles.predict_profiles

    def watched(*given):
        seen.append(torch.backends.cudnn.conv.fp32_precision)
        return whole(*given)

    monkeypatch.setattr(profiles, "predict_profiles", watched)
    before = torch.backends.cudnn.conv.fp32_precision
    run(world[0], tmp_path / "p.h5", SETTINGS.model_copy(update={"precision": precision}))
    assert seen == ["ieee"]
    assert torch.backends.cudnn.conv.fp32_precision == before != "ieee"


def test_tf32_on_a_processor_is_refused(world, tmp_path):
    with pytest.raises(CisweaveError, match="precision tf32 needs a GPU"):
        run(world[0], tmp_path / "p.h5", SETTINGS.model_copy(update={"precision": "tf32"}))
