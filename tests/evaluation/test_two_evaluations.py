"""Two evaluations of one folder come one after the other, because each joins its scores with those that are there."""

import threading
import time
from pathlib import Path

import vaezoo.evaluate
from tests.support.command_line import BARE, QUICK, run, train_in
from vaezoo.evaluation import evaluate_model
from vaezoo.evaluation.scores import Scores
from vaezoo.runs.folder import SCORES, is_held, is_running, lock_scores


def test_an_evaluation_waits_for_another_one(tmp_path, capsys):
    order = []

    def evaluate(name: str, seconds: float) -> None:
        with lock_scores(tmp_path):
            order.append(f"{name} begins")
            time.sleep(seconds)
            order.append(f"{name} ends")

    first = threading.Thread(target=evaluate, args=("first", 2.5))
    first.start()
    while not order:
        time.sleep(0.01)
    evaluate("second", 0)
    first.join()
    assert order == ["first begins", "first ends", "second begins", "second ends"]
    assert f"waiting for another evaluation of {tmp_path}" in capsys.readouterr().out


def test_both_commands_hold_the_lock_while_they_score_and_a_run_is_not_running_for_that(in_tmp, monkeypatch):
    seen = []

    def watch(model, data, folder, **options):
        seen.append((is_held(Path(folder) / SCORES), is_running(Path(folder))))
        return Scores(), {}

    monkeypatch.setattr(evaluate_model, "evaluate_model", watch)
    train_in("a", "max_batches=2", *QUICK, *BARE)
    assert run(vaezoo.evaluate.main, monkeypatch, "run=a", "metric=fast", "figure=none") == 0
    assert seen == [(True, True), (True, False)]
