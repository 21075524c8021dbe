"""What is said about a run: from numbers whose meaning is known."""

import numpy as np
import pytest

from vaezoo.evaluation.closing_table import describe_skipped, print_scores
from vaezoo.evaluation.floors import Floor
from vaezoo.evaluation.scores import Scores
from vaezoo.evaluation.verdict import COLLAPSED, UNFINISHED, describe_scores, still_falls
from vaezoo.metrics.directions import Direction

HIGHER = Direction("higher", "disentanglement")


def scored(**values: float) -> Scores:
    """Scores of disentanglement with a floor of 0.2 ± 0.05."""
    keys = {f"eval/{name}": value for name, value in values.items()}
    floor = Floor(noise=0.2, spread=0.05, constant=0.0)
    return Scores(
        values=keys,
        metrics={key: key for key in keys},
        protocols={key: {} for key in keys},
        directions=dict.fromkeys(keys, HIGHER),
        floors=dict.fromkeys(keys, floor),
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"mig": 0.9, "sap": 0.8}, "All scores of disentanglement are better"),
        ({"mig": 0.1, "sap": 0.2}, "No score of disentanglement is better"),
        (
            {"mig": 0.1, "sap": 0.8},
            "1 of 2 scores of disentanglement are better",
        ),
    ],
)
def test_scores_are_compared_with_their_floors(values, sentence):
    (said,) = describe_scores(scored(**values), {})
    assert said.startswith(sentence)


def test_a_collapsed_model_is_called_so():
    scores = scored(mig=0.1)
    scores.values["eval/active_units"] = 0.0
    assert describe_scores(scores, {}) == [COLLAPSED]
    scores.values["eval/active_units"] = 1.0
    assert describe_scores(scores, {}) != [COLLAPSED]
    assert describe_scores(Scores(), {}) == []


def test_a_loss_that_still_falls():
    batches = np.arange(100, 1100, 100)
    line, settled = 100 - batches / 50, 50 + 50 * np.exp(-batches / 100)
    assert still_falls(batches, line)
    assert not still_falls(batches, settled)
    assert not still_falls(batches, line[::-1]), "it rises"
    assert not still_falls(batches[:5], line[:5]), "too few validations"
    assert describe_scores(Scores(), {"val/loss": (batches, line)}) == [UNFINISHED]


def test_what_was_not_computed_is_one_line_by_reason(capsys):
    skipped = {"mig_hist": "no factors", "clustering": "no clusters", "irs": "no factors"}
    assert describe_skipped(skipped) == "mig_hist, irs (no factors); clustering (no clusters)"
    print_scores(Scores(skipped=skipped), "a run")
    assert capsys.readouterr().out.strip() == "not computed: mig_hist, irs (no factors); clustering (no clusters)"


def test_disentanglement_comes_first_with_arrows(capsys):
    scores = scored(mig=0.9)
    scores.values = {"eval/recon_mse": 0.1, **scores.values}
    scores.metrics = {"eval/recon_mse": "reconstruction", **scores.metrics}
    scores.protocols["reconstruction"] = {}
    scores.directions["eval/recon_mse"] = Direction("lower")
    print_scores(scores, "a run", ["A sentence."])
    out = capsys.readouterr().out
    assert out.index("A sentence.") < out.index("↑ mig") < out.index("↓ recon_mse")
