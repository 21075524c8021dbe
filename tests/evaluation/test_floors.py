"""What codes without information get stands beside each score."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.codes import FACTORS, LINEAR, noise
from vaezoo.errors import UserError
from vaezoo.evaluation import floors, records
from vaezoo.evaluation.closing_table import print_scores
from vaezoo.evaluation.floors import Floor, find_floors, replace_codes
from vaezoo.evaluation.inputs import Inputs
from vaezoo.evaluation.scores import Scores, evaluate_metrics
from vaezoo.metrics.clusters import clustering
from vaezoo.metrics.correlations import correlation
from vaezoo.metrics.directions import DISENTANGLEMENT, EASY, Direction
from vaezoo.metrics.higgins import higgins_logistic
from vaezoo.metrics.mig import mig_exact, mig_hist
from vaezoo.metrics.votes import factor_vae

METRICS = {
    "higgins_logistic": partial(higgins_logistic, train=400, test=200),
    "factor_vae": partial(factor_vae, train=400, test=200),
    "mig_hist": mig_hist,
    "correlation": correlation,
}
HIGHER, LOWER = Direction("higher", DISENTANGLEMENT), Direction("lower", "")


def score(codes: np.ndarray) -> Scores:
    inputs = Inputs(codes=codes, test_codes=codes, factors=FACTORS)
    return evaluate_metrics(METRICS, inputs, seed=0, repeats=1, floors=True)


@pytest.fixture(autouse=True)
def own_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))


def test_noise_is_at_its_floor_and_good_codes_are_not(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    good, bad = score(LINEAR.astype(np.float32)), score(noise(4))
    for name, chance in (("higgins_logistic", 0.25), ("factor_vae", 0.25), ("mig_hist", 0)):
        key = f"eval/{name}"
        assert good.floors[key].noise == pytest.approx(chance, abs=0.08)
        assert not good.is_at_floor(key)
        assert bad.is_at_floor(key)
    assert good.floors["eval/factor_vae"].constant == 0
    assert "eval/factor_vae/active_dims" not in good.floors  # neither end of it is better

    records.write(bad, {"checkpoint": "x"}, tmp_path)
    entry = json.loads((tmp_path / "metrics.json").read_text())["floors"]["eval/mig_hist"]
    assert entry["reached"] is True
    assert entry.keys() == {"noise", "spread", "constant", "reached"}
    assert records.read(tmp_path, "x").floors == bad.floors
    print_scores(bad, "noise")
    assert capsys.readouterr().out.count("(floor)") >= 3


def test_floors_are_kept_for_a_table_and_a_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    measure = floors.measure_floors
    monkeypatch.setattr(floors, "measure_floors", lambda *inputs: calls.append(inputs) or measure(*inputs))
    arguments = {"codes": LINEAR, "factors": FACTORS}
    first = find_floors(mig_hist, arguments, {"bins": 20})
    assert find_floors(mig_hist, {"codes": noise(4), "factors": FACTORS}, {"bins": 20}) == first
    assert len(calls) == 1
    for changed, protocol in (
        ({**arguments, "codes": noise(5)}, {"bins": 20}),
        ({**arguments, "codes": LINEAR.astype(np.float32)}, {"bins": 20}),
        ({**arguments, "factors": FACTORS[::-1]}, {"bins": 20}),
        (arguments, {"bins": 10}),
    ):
        find_floors(mig_hist, changed, protocol)
    assert len(calls) == 5
    monkeypatch.setenv("VAEZOO_DATA", "/dev/null/nowhere")  # a floor that cannot be kept is found all the same
    assert find_floors(mig_hist, arguments, {"bins": 20}) == first


def test_what_takes_the_place_of_codes() -> None:
    arguments = {"codes": np.ones((200, 7)), "logvars": np.ones((200, 2)), "categories": (2, 3), "factors": FACTORS}
    replaced = replace_codes(arguments, 0)
    assert replaced["factors"] is FACTORS
    assert (replaced["logvars"] == -4).all()
    np.testing.assert_allclose(replaced["codes"][:, 2:4].sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(replaced["codes"][:, 4:].sum(axis=1), 1, rtol=1e-6)
    constant = replace_codes(arguments, None)["codes"]
    np.testing.assert_allclose(constant, [[0, 0, 1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3]] * 200, rtol=1e-6)
    labels = FACTORS[:, 1]
    floor = find_floors(clustering, {"test_clusters": np.ones((480, 4)), "test_labels": labels}, {})
    assert floor["cluster_acc_hungarian"].noise == pytest.approx(0.29, abs=0.05)
    assert floor["cluster_acc_hungarian"].constant == 0.25
    posterior = {"means": LINEAR, "logvars": LINEAR, "factors": FACTORS}
    assert find_floors(mig_exact, posterior, {})["score"].noise < 0.05


@pytest.mark.parametrize(
    ("value", "direction", "reached"),
    [
        (0.55, HIGHER, True),
        (0.3, HIGHER, True),  # worse than noise
        (0.65, HIGHER, False),
        (0.45, LOWER, True),
        (0.35, LOWER, False),
        (0.55, Direction("lower", EASY), True),
        (0.9, Direction("lower", EASY), False),  # noise has the best value, so a larger one says something
        (np.nan, HIGHER, False),
    ],
)
def test_a_floor_is_reached_within_the_spread_of_noise(value: float, direction: Direction, reached: bool) -> None:
    assert Floor(0.5, 0.1, 0.5).is_reached(value, direction) is reached
    assert Floor(0.5, 0.1, np.nan).is_reached(value, direction) is reached


def test_codes_without_variance_are_skipped_with_the_reason() -> None:
    for codes in (np.full((480, 4), 0.3, np.float32), 7 + 1e-7 * noise(4).astype(np.float32)):
        scores = score(codes)
        reason = "the codes have no variance: all 480 rows are the same"
        assert scores.skipped == dict.fromkeys(METRICS, reason)
        assert not scores.values
    assert not score(1e-3 * noise(4)).skipped


def test_codes_that_are_not_finite_end_the_scoring() -> None:
    codes = LINEAR.copy()
    codes[7] = np.inf
    with pytest.raises(UserError, match="codes has rows with nan or inf, 1 of 480"):
        score(codes)
