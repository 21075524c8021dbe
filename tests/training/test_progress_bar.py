"""What the bar of a training says about its budget."""

from types import SimpleNamespace

from vaezoo.training import progress_bar
from vaezoo.training.progress_bar import BudgetBar, describe_budget


def test_a_long_budget_is_said_in_hours_and_a_short_one_is_not():
    assert describe_budget(160, 300_000, 16.0) == (
        "budget    300,000 batches take about 5.2 hours at this speed. Another run with max_batches=19000 would take"
        " 20 minutes."
    )
    assert "about 8.7 days" in describe_budget(0, 300_000, 0.4)
    assert describe_budget(0, 2_500, 16.0) is None
    assert describe_budget(299_000, 300_000, 16.0) is None


def test_it_is_said_once_when_the_speed_is_known(monkeypatch, capsys):
    seconds = iter(range(0, 600, 3))
    monkeypatch.setattr(progress_bar, "monotonic", lambda: next(seconds))
    clock = SimpleNamespace(batches=0, max_batches=300_000)
    module = SimpleNamespace(clock=clock, terms=SimpleNamespace(latest={}))
    bar = BudgetBar("vae")
    bar.on_train_start(None, module)
    for _ in range(20):
        clock.batches += 30
        bar.on_train_batch_end(None, module, None, None, 0)
    bar.close()
    assert capsys.readouterr().err.count("300,000 batches take about 8.3 hours") == 1
