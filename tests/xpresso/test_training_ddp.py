"""Training in two processes, with a start that collapses: both go on to the second start together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.xpresso.training_data import write_promoters

PROGRAM = """
import json, sys
from pathlib import Path
import torch
from cisweave.config import TrainingSettings
from cisweave.xpresso import training
from tests.xpresso.training_data import xpresso

whole = training.Task.network

def network(self, seed):
    made = whole(self, seed)
    if seed == 4:
        with torch.no_grad():
            made.head.dense_layers[-2].bias.fill_(-1e6)
    return made

training.Task.network = network
folder = Path(sys.argv[1])
two = TrainingSettings(tensorboard=False, csv_log=False, trainer={"devices": 2, "strategy": "ddp"})
entry = xpresso(max_epochs=8, batch_size=8)
metrics = training.train_model(
    folder / "data", folder / "split.tsv", folder / "model", entry, training=two, seed=4, device="cpu"
)
print("METRICS", json.dumps(metrics))
"""


@pytest.mark.slow
def test_two_processes_restart_together(tmp_path):
    write_promoters(tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    here = Path(__file__).resolve().parents[2]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "LOCAL_RANK"))}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path)],
        env={**surroundings, "PYTHONPATH": str(here), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = [line for line in done.stdout.splitlines() if line.startswith("METRICS")]
    assert len(told) == 1, "the second process ends with its training"
    metrics = json.loads(told[0].removeprefix("METRICS "))
    assert metrics["restarts"] == 1
    assert metrics["epochs"] == 8
    assert metrics["best"]["train"]["r2"] > 0.1
