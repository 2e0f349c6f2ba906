"""The published Xpresso weights reproduce the published predictions."""

import numpy as np
import pytest

from cisweave.models.folders import read_spec
from cisweave.xpresso.dataset import HALF_LIFE
from cisweave.xpresso.importing.models import import_model
from cisweave.xpresso.predict import predict_promoters
from cisweave.xpresso.sources import PromoterFiles
from tests.real.checks import data_folder
from tests.xpresso.importing.published_weights import (
    BED_COLUMNS,
    HUMAN,
    K562,
    predictions,
    promoter_codes,
    published_promoters,
    xpresso_weights_check,
)

FOLDER, REASON = data_folder()
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(FOLDER is None, reason=REASON)]


@pytest.fixture(scope="module")
def promoters():
    return published_promoters(FOLDER)


def test_the_human_median_is_as_published(promoters):
    found = xpresso_weights_check(FOLDER)
    assert found["promoters"] == 25
    assert found["largest_difference"] < 1e-6
    assert promoters.published.std() > 0.3


def test_six_half_life_features_are_kept_where_they_have_names(promoters, tmp_path):
    import_model(FOLDER / HUMAN, tmp_path / "model", halflife_names=HALF_LIFE[:6])
    spec = read_spec(tmp_path / "model")
    assert spec.hyperparameters["type"] == "cnn/Xpresso"
    assert spec.hyperparameters["halflife"] == 6
    assert spec.preprocessing["scaling"]["halflife_names"] == list(HALF_LIFE[:6])
    found = predictions(tmp_path / "model", promoter_codes(FOLDER, promoters), 6)
    np.testing.assert_allclose(found, promoters.published, atol=1e-6, rtol=0)


def test_k562_runs_and_differs(promoters, tmp_path):
    found = predictions(import_model(FOLDER / K562, tmp_path / "model"), promoter_codes(FOLDER, promoters))
    assert np.isfinite(found).all()
    assert 0.3 < np.corrcoef(found, promoters.published)[0, 1] < 0.99


def test_prediction_from_bed_and_genome_gives_them_too(promoters, tmp_path):
    promoters[BED_COLUMNS].to_csv(tmp_path / "promoters.bed", sep="\t", index=False, header=False)
    for name in ("hg38_pieces.fa.gz", "hg38_pieces.fa.gz.fai", "hg38_pieces.fa.gz.gzi"):
        (tmp_path / name).symlink_to(FOLDER / "genome" / name)
    files = PromoterFiles(bed=tmp_path / "promoters.bed", fasta=tmp_path / "hg38_pieces.fa.gz")
    import_model(FOLDER / HUMAN, tmp_path / "model")
    found = predict_promoters(tmp_path / "model", tmp_path / "predictions.tsv", files, device="cpu")
    right = promoters.set_index("gene_id").published
    assert len(found) == len(promoters)
    np.testing.assert_allclose(found.prediction_z, right[found.gene_id], atol=1e-6, rtol=0)
    assert found.log10_expression.isna().all()
