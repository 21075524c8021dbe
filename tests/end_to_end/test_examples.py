"""The examples of CONTRIBUTING.md: the pages show these files, and the commands use them from their own folder."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import QUICK, rows, train
from tests.support.paths import ROOT
from tests.support.plugin.my_zoo.crosses import crosses
from tests.support.plugin.my_zoo.hoyer import hoyer
from tests.support.plugins import OWN, PROJECT
from vaezoo.runs.folder import read_recorded_folders

PAGES = (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "own_package.md")
BRIEF = ("max_batches=3", "logger=csv", "hydra.run.dir=run", *QUICK, "log_every=1")


def test_the_pages_show_the_files_of_the_examples():
    blocks = r"^`((?:my_zoo/|pyproject)\S+)`:\n\n```\w+\n(.*?)^```$"
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = dict(re.findall(blocks, text, re.MULTILINE | re.DOTALL))
    files = [path for path in PROJECT.rglob("*") if path.suffix in (".py", ".yaml", ".toml")]
    assert shown == {path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8") for path in files}


def test_the_model_trains_and_the_metric_and_the_figure_take_its_codes(in_tmp, monkeypatch):
    line = [*OWN, "model=l1vae", "metric=score/hoyer", "metric.test_rows=50", "figure=pixel_errors", *BRIEF]
    assert train(monkeypatch, *line) == 0
    logged = [row for row in rows(Path("run")) if row["train/loss"]]
    assert len(logged) == 3
    for row in logged:
        terms = {name: float(row[f"train/{name}"]) for name in ("loss", "rec", "kl", "l1")}
        assert terms["loss"] == pytest.approx(terms["rec"] + terms["kl"] + 0.5 * terms["l1"], rel=1e-5)
    final = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))
    assert 0 < final["scores"]["eval/hoyer"] < 1
    assert final["directions"] == {"eval/hoyer": "higher"}
    assert Path("run/figures/pixel_errors.png").is_file()
    assert read_recorded_folders(Path("run").resolve()) == [PROJECT / "my_zoo" / "conf"]


def test_any_model_trains_on_the_data_set(in_tmp, monkeypatch):
    words = [word for word in BRIEF if not word.startswith("dataset=")]
    line = [*OWN, "model=vae", "dataset=crosses", "metric=score/mig_hist", "figure=none", *words]
    assert train(monkeypatch, *line) == 0
    assert "eval/mig_hist" in json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))["scores"]


def test_a_study_sweeps_the_model(in_tmp, monkeypatch, capfd):
    line = ["-m", *OWN, "model=l1vae", "model.sparsity=0.1,1", "dataset=digits", "sweep.dry=true"]
    assert train(monkeypatch, *line) == 0
    assert "2: 2 new" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["model=l1vae", "model.sparsity=-1"], "model.sparsity=-1: must be a number of at least 0, or a schedule"),
        (["dataset=crosses", "dataset.size=1"], "dataset.size=1: must be a whole number of at least 2"),
    ],
)
def test_the_ranges_of_constructors_and_sources_hold(line, message, in_tmp, monkeypatch, capsys):
    assert train(monkeypatch, *OWN, *line) != 0
    assert message in capsys.readouterr().err


def test_sparseness_of_known_codes():
    one_of_four = np.eye(4)
    assert hoyer(one_of_four, normalise=False)["score"] == pytest.approx(1)
    assert hoyer(np.array([[1.0, -1, 1], [-1, 1, 1], [1, 1, -1]]))["score"] == pytest.approx(0)


def test_a_cross_has_its_lines_where_its_factors_say():
    data = crosses(4)
    row = int(np.flatnonzero((data.factors == (2, 1, 3)).all(axis=1))[0])
    expected = np.zeros((4, 4))
    expected[1, :] = expected[:, 3] = 1
    assert np.array_equal(data.pixels(np.array([row]))[0, 0], expected)
    assert len(data) == 3 * 4 * 4
