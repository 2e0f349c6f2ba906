"""The training loop: best weights come back, resuming is exact, divergence is said."""

import warnings

import pytest
import torch

from cisweave.config import TrainingSettings
from cisweave.core.errors import CisweaveError
from cisweave.training import ArrayDataset, TrainedModule, fit, warmup_cosine
from cisweave.training.data import EpochShuffle

SETTINGS = TrainingSettings(tensorboard=False, csv_log=False)


class Regression(TrainedModule):
    """A linear model with dropout, so that training draws random numbers."""

    def __init__(self, seed=0, learning_rate=0.05):
        torch.manual_seed(seed)
        super().__init__(torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(6, 1)), learning_rate, seed)

    def training_step(self, batch, batch_idx):
        features, targets = batch
        return ((self.network(features) - targets) ** 2).mean()

    def validation_step(self, batch, batch_idx):
        features, targets = batch
        self.log("valid_loss", ((self.network(features) - targets) ** 2).mean(), batch_size=len(targets))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


def data(examples=50):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(examples, 6, generator=generator)
    return ArrayDataset(features, features.sum(1, keepdim=True))


def run(folder, epochs, module=None, patience=None, examples=50, **changes):
    module = module or Regression()
    options = {
        "folder": folder, "settings": SETTINGS, "identity": {"run": 1}, "monitor": "valid_loss", "mode": "min",
        "max_epochs": epochs, "patience": patience, "device": torch.device("cpu"), "batch_size": 8,
    }  # fmt: skip
    result = fit(module, data(examples), data(examples), **(options | changes))
    return module, result


def interrupt(folder, epochs):
    """Leave a run folder as a killed run leaves it: a last checkpoint and no mark of completion."""
    run(folder, epochs)
    (folder / "finished.json").unlink()


def test_resumed_run_equals_uninterrupted_run_bit_by_bit(tmp_path):
    whole, whole_result = run(tmp_path / "whole", 6)
    interrupt(tmp_path / "killed", 3)
    resumed, resumed_result = run(tmp_path / "killed", 6)
    assert resumed_result.history.equals(whole_result.history)
    assert len(resumed_result.history) == 6
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name])


def test_another_identity_starts_afresh(tmp_path):
    interrupt(tmp_path, 3)
    _, result = run(tmp_path, 2, identity={"run": 2})
    assert result.history.epoch.tolist() == [0, 1]


def test_best_epoch_comes_back(tmp_path):
    module, result = run(tmp_path, 6, Regression(learning_rate=2.0))
    with torch.inference_mode():
        features, targets = data().tensors
        loss = ((module.network.eval()(features) - targets) ** 2).mean()
    assert float(loss) == pytest.approx(result.history.valid_loss.min(), rel=1e-5)
    assert result.history.valid_loss.iloc[-1] > result.history.valid_loss.min()


def test_early_stopping(tmp_path):
    _, result = run(tmp_path, 200, Regression(learning_rate=2.0), patience=3)
    assert result.epochs < 200


def test_divergence_is_said(tmp_path):
    with pytest.raises(CisweaveError, match="diverged"):
        run(tmp_path / "nan", 2, Regression(learning_rate=float("1e30")))


def test_a_loss_without_bounds_has_diverged(tmp_path):
    class Endless(Regression):
        def validation_step(self, batch, batch_idx):
            self.log("valid_loss", torch.tensor(float("inf")), batch_size=len(batch[1]))

    with pytest.raises(CisweaveError, match="diverged"):
        run(tmp_path, 2, Endless())


def test_order_is_a_function_of_seed_and_epoch():
    first, second = EpochShuffle(20, seed=1), EpochShuffle(20, seed=1)
    first.set_epoch(4)
    list(second)
    second.set_epoch(4)
    assert list(first) == list(second)
    second.set_epoch(5)
    assert list(first) != list(second)
    assert sorted(first) == list(range(20))


def test_logs_are_written(tmp_path):
    run(tmp_path, 1, settings=TrainingSettings())
    assert (tmp_path / "csv" / "metrics.csv").exists()
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_warmup_then_cosine():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = warmup_cosine(optimizer, 100, 0.1)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5)
    assert rates[-1] < 0.01


def test_learning_rate_finder(tmp_path):
    settings = TrainingSettings(tensorboard=False, csv_log=False, find_learning_rate=True)
    module, _ = run(tmp_path, 1, Regression(learning_rate=1e-9), settings=settings, examples=1000)
    assert module.learning_rate > 1e-8


class Scheduled(Regression):
    """Its schedule sets the rate at every step."""

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 if step >= 125 else 1.0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def test_a_rate_that_was_found_outlives_schedules_and_going_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"settings": SETTINGS.model_copy(update={"find_learning_rate": True}), "examples": 1000}
    whole, result = run(tmp_path / "whole", 2, Scheduled(learning_rate=1e-9), **options)
    assert whole.learning_rate > 1e-8
    assert whole.optimizers().param_groups[0]["lr"] == pytest.approx(0.5 * whole.learning_rate)
    run(tmp_path / "killed", 1, Scheduled(learning_rate=1e-9), **options)
    (tmp_path / "killed" / "finished.json").unlink()
    resumed, again = run(tmp_path / "killed", 2, Scheduled(learning_rate=1e-9), **options)
    assert again.history.equals(result.history)
    assert torch.equal(resumed.network[1].weight, whole.network[1].weight)


def test_a_rate_that_was_not_found_is_said(tmp_path, caplog):
    run(tmp_path, 1, settings=SETTINGS.model_copy(update={"find_learning_rate": True}), examples=16)
    assert "found none; training goes on with the one in the settings" in caplog.text


def test_a_run_that_goes_on_has_all_of_its_time(tmp_path):
    whole, _ = run(tmp_path / "whole", 3)
    seconds = "00:00:00:30"
    timed = TrainingSettings(tensorboard=False, csv_log=False, trainer={"max_time": seconds})
    run(tmp_path / "cut", 1, settings=timed)
    (tmp_path / "cut" / "finished.json").unlink()
    saved = torch.load(tmp_path / "cut" / "checkpoints" / "last.ckpt", weights_only=True)
    assert not any("Time" in name for name in saved["callbacks"])
    resumed, again = run(tmp_path / "cut", 3, settings=timed)
    assert (again.epochs, again.stopped_by_time) == (3, False)
    assert torch.equal(resumed.network[1].weight, whole.network[1].weight)


def test_time_ends_a_run_after_an_epoch(tmp_path, monkeypatch, caplog):
    from cisweave.training.loop import WallTime

    monkeypatch.setattr(
        WallTime, "time_elapsed", lambda self, stage="train": 61.0 * (self._start_time["train"] is not None)
    )
    timed = TrainingSettings(tensorboard=False, csv_log=False, trainer={"max_time": "00:00:01:00"})
    _, result = run(tmp_path, 5, settings=timed)
    assert (result.epochs, result.stopped_by_time) == (1, True)
    assert "max_time ended the training after 1 epochs; the same command goes on" in caplog.text
    assert not (tmp_path / "finished.json").exists()


def test_batch_size_finder(tmp_path):
    settings = TrainingSettings(tensorboard=False, csv_log=False, find_batch_size=True)
    module, _ = run(tmp_path, 1, settings=settings, examples=200)
    assert module.trainer.datamodule.batch_size > 8


def test_averaged_weights_are_kept(tmp_path):
    settings = TrainingSettings(tensorboard=False, csv_log=False, weight_averaging=0.01)
    averaged, result = run(tmp_path / "averaged", 8, settings=settings)
    plain, _ = run(tmp_path / "plain", 8)
    assert result.epochs == 8
    assert not torch.equal(averaged.network[1].weight, plain.network[1].weight)


def test_a_killed_run_goes_on_from_its_last_epoch_not_its_best(tmp_path):
    _, result = run(tmp_path, 6, Regression(learning_rate=2.0))
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert result.history.valid_loss.idxmin() < 5
    assert saved["epoch"] == 5


def test_trainer_options_are_passed_through(tmp_path):
    settings = TrainingSettings(tensorboard=False, csv_log=False, trainer={"max_steps": 14, "gradient_clip_val": 0.5})
    module, result = run(tmp_path, 10, settings=settings)
    assert module.trainer.global_step == 14
    assert module.trainer.gradient_clip_val == 0.5
    assert result.epochs == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 2}, "stopped before valid_loss was measured"),
        ({"max_time": "00:00:00:00"}, "stopped before valid_loss was measured"),
        ({"accelerator": "bogus"}, "Lightning refuses the section training.trainer"),
        ({"devices": [0]}, "Lightning refuses the section training.trainer"),
        ({"fast_dev_run": True}, "went through without a mistake; nothing is saved"),
    ],
)
def test_a_run_without_a_result_is_an_error(tmp_path, options, message):
    settings = TrainingSettings(tensorboard=False, csv_log=False, trainer=options)
    with pytest.raises(CisweaveError, match=message):
        run(tmp_path, 3, settings=settings, patience=2)
    assert not (tmp_path / "finished.json").exists()


def test_lightning_says_nothing_that_is_no_news(tmp_path, caplog):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        run(tmp_path, 2)
    assert not [record for record in caplog.records if "Tip:" in record.getMessage()]
    assert not [warning for warning in warned if "logging interval" in str(warning.message)]
