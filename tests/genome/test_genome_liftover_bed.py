"""Liftover of BED: every column that holds a place goes along, or the line is rejected."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisweave.config import LiftoverSettings
from cisweave.core.errors import CisweaveError
from cisweave.genome import lift_bed
from cisweave.genome.alleles import Rejection
from cisweave.genome.chain import Chain
from cisweave.genome.lift_bed import BedLifter, liftover_bed
from cisweave.tables.ledger import read_ledger
from tests.genome.assemblies import SEGMENTS, Assemblies, make_assemblies

ONE_CHAIN = (
    "chain 1 chrS 200 + 0 150 chrT 300 + 10 170\n100\t0\t10\n40\t2\t2\n8\n\n"
    "chain 1 chrS 200 + 150 200 chrT 300 - 50 100\n50\n"
)  # 0-100 -> 10-110, 100-140 -> 120-160, 142-150 -> 162-170; 150-200 -> 200-250 inverted


@pytest.fixture
def pair(tmp_path: Path) -> Assemblies:
    made = make_assemblies(SEGMENTS)
    (tmp_path / "s.chain").write_text(made.chain)
    return made


def lift(folder: Path, chain: str, line: str, **options: object) -> str:
    """A line lifted, or the code of why not."""
    (folder / "text.chain").write_text(chain)
    lifter = BedLifter(Chain(folder / "text.chain"), LiftoverSettings.model_validate(options))
    found = lifter.lift(line.split(" "))
    return str(found.reason) if isinstance(found, Rejection) else " ".join(found)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("chrS 0 100", "chrT 10 110"),
        ("S 5 6 name", "chrT 15 16 name"),
        ("chrS 160 170 n 0 +", "chrT 230 240 n 0 -"),
        ("chrS 160 170 n 0 -", "chrT 230 240 n 0 +"),
        ("chrS 160 161 + gene1", "chrT 239 240 - gene1"),  # a TSS BED
        ("chrS 160 161 - gene1 x +", "chrT 239 240 + gene1 x +"),
        ("chrS 160 170 n 0 . extra", "chrT 230 240 n 0 . extra"),
        ("chrS 0 140", "lift_split"),  # 140 of 150
        ("chrS 0 148", "lift_split"),
        ("chrS 99 101", "lift_split"),
        ("chrS 100 142", "chrT 120 160"),  # 40 of 42, from the first to the last base with a place
        ("chrS 100 150", "chrT 120 170"),
        ("chrS 130 142", "lift_partial"),
        ("chrS 140 142", "lift_unmapped"),
        ("chrS 145 155", "lift_split"),
        ("chrS 190 230", "lift_partial"),
        ("chr9 1 2", "lift_unmapped"),
        ("chrS 5 5", "chrT 15 15"),
        ("chrS 160 160", "chrT 240 240"),
        ("chrS 100 100", "lift_partial"),
        ("chrS 0 0", "lift_partial"),
        ("chrS 5 4", "bad_position"),
        ("chrS -5 4", "bad_position"),
        ("chrS 5 1e3", "bad_position"),
        ("chrS 5 99999999999999999999", "bad_position"),
        ("chrS 5", "malformed_record"),
        # thick parts
        ("chrS 160 180 n 0 + 165 170", "chrT 220 240 n 0 - 230 235"),
        ("chrS 160 180 n 0 + 160 160 0", "chrT 220 240 n 0 - 220 220 0"),
        ("chrS 100 150 n 0 + 140 149", "lift_partial"),
        # broadPeak and narrowPeak
        ("chrS 160 180 n 0 + 3.5 2 1", "chrT 220 240 n 0 - 3.5 2 1"),
        ("chrS 160 180 n 0 + 3.5 2 1 4", "chrT 220 240 n 0 - 3.5 2 1 15"),
        ("chrS 20 60 n 0 . 3.5 2 1 4", "chrT 30 70 n 0 . 3.5 2 1 4"),
        ("chrS 160 180 n 0 + 3.5 2 1 -1", "chrT 220 240 n 0 - 3.5 2 1 -1"),
        ("chrS 100 150 n 0 + 3.5 2 1 41", "lift_partial"),
        # BED12
        ("chrS 20 140 n 0 + 20 140 0 2 10,5, 0,115", "chrT 30 160 n 0 + 30 160 0 2 10,5 0,125"),
        ("chrS 160 190 n 0 + 162 188 0 3 10,2,5 0,15,25", "chrT 210 240 n 0 - 212 238 0 3 5,2,10 0,13,20"),
        ("chrS 100 150 n 0 + 100 150 0 2 10,9 0,41", "lift_partial"),
        ("chrS 140 160 n 0 + 140 160 0 2 5,5 0,15", "lift_partial"),
        ("chrS 20 140 n 0 + 20 140 0 2 10,5 0,114", "malformed_record"),
        ("chrS 20 140 n 0 + 20 140 0 3 10,5 0,115", "malformed_record"),
        ("chrS 20 140 n 0 + 20 140 0 2 10,x 0,115", "malformed_record"),
        ("chrS 20 140 n 0 + 10 140 0 2 10,5 0,115", "malformed_record"),
    ],
)
def test_lines(tmp_path: Path, line: str, expected: str) -> None:
    assert lift(tmp_path, ONE_CHAIN, line) == expected


def test_settings(tmp_path: Path) -> None:
    assert lift(tmp_path, ONE_CHAIN, "chrS 0 140", min_match=0.9) == "chrT 10 160"
    assert lift(tmp_path, ONE_CHAIN, "chrS 100 150", min_match=1) == "lift_partial"
    assert lift(tmp_path, ONE_CHAIN, "chrS 160 180 n 0 + 165 170", bed_fields=6) == "chrT 220 240 n 0 - 165 170"
    assert lift(tmp_path, ONE_CHAIN, "chrS 160 180 n 0 + 165 170", bed_fields=4) == "chrT 220 240 n 0 + 165 170"
    assert lift(tmp_path, ONE_CHAIN, "chrS 160 180 n", bed_fields=6) == "malformed_record"
    assert lift(tmp_path, ONE_CHAIN, "chrS 160 180 n 0 + 1 2", bed_fields=8) == "malformed_record"
    twice = ONE_CHAIN + "\nchain 1 chrS 200 + 0 50 chrT 300 + 250 300\n50\n"
    assert lift(tmp_path, twice, "chrS 10 20") == "lift_multiple"
    assert lift(tmp_path, twice, "chrS 10 20 n 0 + 10 20 0 1 10 0") == "lift_multiple"
    assert lift(tmp_path, twice, "chrS 45 100") == "chrT 55 110"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.5, 0.95, 1.0]))
def test_intervals_are_what_single_bases_say(tmp_path: Path, seed: int, share: float) -> None:
    """Random chains of several blocks: against every base looked up by itself."""
    choose = random.Random(seed)
    lines, start, query = [], 0, 0
    for number in range(choose.randint(1, 3)):
        start, query = start + choose.randint(0, 4), query + choose.randint(0, 4)
        sizes = [
            (choose.randint(1, 12), choose.randint(0, 2), choose.randint(0, 2)) for _ in range(choose.randint(1, 4))
        ]
        length = sum(a + b for a, b, _ in sizes) - sizes[-1][1]
        wide = sum(a + c for a, _, c in sizes) - sizes[-1][2]
        strand = choose.choice("+-")
        begin = query if strand == "+" else 500 - query - wide
        lines.append(f"chain 1 chrS 300 + {start} {start + length} chrT 500 {strand} {begin} {begin + wide} {number}")
        lines += [f"{a}\t{b}\t{c}" for a, b, c in sizes[:-1]] + [f"{sizes[-1][0]}", ""]
        start, query = start + length, query + wide
    (tmp_path / "r.chain").write_text("\n".join(lines))
    chain = Chain(tmp_path / "r.chain")
    lifter = BedLifter(chain, LiftoverSettings(min_match=share))
    for _ in range(10):
        low = choose.randint(0, max(start - 1, 0))
        high = low + choose.randint(1, 25)
        found = lifter.lift(["chrS", str(low), str(high), "n", "0", "+"])
        hits = [chain.hits("chrS", pos + 1) for pos in range(low, high)]
        places = [hit[0].pos - 1 for hit in hits if hit]
        if isinstance(found, Rejection):
            continue
        begin, end = int(found[1]), int(found[2])
        inside = [place for place in places if begin <= place < end]
        assert min(inside) == begin
        assert max(inside) == end - 1
        assert len(inside) >= share * (high - low)
        assert len(inside) >= share * (end - begin)
        assert {hit[0].strand for hit in hits if hit and begin <= hit[0].pos - 1 < end} == {found[5]}
    if lifter.lift(["chrS", "0", "0"]):
        whole = [pos for pos in range(start) if chain.hits("chrS", pos + 1)]
        for pos in whole:
            place = chain.hits("chrS", pos + 1)[0]
            assert lifter.lift(["chrS", str(pos), str(pos + 1)]) == ["chrT", str(place.pos - 1), str(place.pos)]


@pytest.mark.parametrize("name", ["out.bed", "out.bed.gz"])
def test_files(tmp_path: Path, pair: Assemblies, name: str, caplog: pytest.LogCaptureFixture) -> None:
    bed = tmp_path / "in.bed"
    bed.write_bytes(
        b"browser position chrS:1-2\ntrack name=x\n# comment\r\nchrS\t1\t9\ta\t0\t+\r\n\nchrS\t40\t44\tb\nchrS\tx\t44\n"
        b"chrS\t80\t90\tc\t0\t-"
    )
    out, rejects = tmp_path / name, tmp_path / "r.tsv"
    (tmp_path / "back.chain").write_text(
        "chain 1 chrT 158 + 7 47 chrS 146 + 0 40\n40\n\nchain 1 chrT 158 + 77 122 chrS 146 - 25 70\n45\n"
    )
    assert len(pair.target) == 158
    caplog.set_level("INFO")
    liftover_bed(bed, tmp_path / "s.chain", out, rejects, None, tmp_path / "back.chain")
    text = gzip.decompress(out.read_bytes()).decode() if name.endswith("gz") else out.read_text()
    assert text == "chrT\t8\t16\ta\t0\t+\nchrT\t108\t118\tc\t0\t+\n"
    ledger = read_ledger(rejects)
    assert ledger[["line", "record", "contig", "position", "ref", "code"]].to_numpy().tolist() == [
        [6, 2, "chrS", "40", "", "lift_unmapped"],
        [7, 3, "chrS", "x", "", "bad_position"],
    ]
    notes = json.loads(out.with_name(out.name + ".receipt.json").read_text())["identity"]
    assert notes["intervals"] == {
        "in": 4, "kept": 2, "rejected": 2, "reasons": {"bad_position": 1, "lift_unmapped": 1},
    }  # fmt: skip
    assert notes["round_trip"]["returned"] == 2
    assert "liftover: 4 intervals in, 2 kept, 2 rejected (bad_position 1, lift_unmapped 1)" in caplog.text


def test_empty_and_absent(tmp_path: Path, pair: Assemblies) -> None:
    (tmp_path / "empty.bed").write_text("")
    liftover_bed(tmp_path / "empty.bed", tmp_path / "s.chain", tmp_path / "o.bed", tmp_path / "r.tsv")
    assert (tmp_path / "o.bed").read_text() == ""
    assert read_ledger(tmp_path / "r.tsv").empty
    with pytest.raises(CisweaveError, match="does not exist"):
        liftover_bed(tmp_path / "no.bed", tmp_path / "s.chain", tmp_path / "p.bed", tmp_path / "q.tsv")
    assert not (tmp_path / "p.bed").exists()
    assert not (tmp_path / "q.tsv").exists()
    assert pair.source


def test_a_lost_line_is_noticed(tmp_path: Path, pair: Assemblies, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s.chain").write_text(pair.chain)
    (tmp_path / "a.bed").write_text("chrS\t1\t5\nchrX\t1\t5\nchrX\t1\t6\n")
    whole = lift_bed.frame_of
    monkeypatch.setattr(lift_bed, "frame_of", lambda rows, columns: whole(rows[1:], columns))
    with pytest.raises(CisweaveError, match="do not balance: 3 intervals in, 1 kept, 1 rejected"):
        liftover_bed(tmp_path / "a.bed", tmp_path / "s.chain", tmp_path / "b.bed", tmp_path / "r.tsv")
    assert not (tmp_path / "b.bed").exists()
