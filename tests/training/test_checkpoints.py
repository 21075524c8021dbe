"""Checkpoints: when they are written, and which one is the best."""

from types import SimpleNamespace

from vaezoo.training.checkpoints import Checkpoints


def test_the_best_checkpoint_is_that_of_the_lowest_value(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, minutes=10, monitor="val/loss")
    saved: list[tuple[str, float]] = []
    for value in (3.0, 5.0, 2.0, 2.0, float("nan"), 4.0, 1.0):
        module = SimpleNamespace(terms=SimpleNamespace(latest_val={"loss": value}))
        monkeypatch.setattr(checkpoints, "save", lambda _, name, value=value: saved.append((name, value)))
        checkpoints.on_validation_end(None, module)
    assert saved == [("best.ckpt", 3.0), ("best.ckpt", 2.0), ("best.ckpt", 1.0)]
