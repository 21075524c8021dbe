"""Scores without a model: a .npz file of arrays, and UDR over the folders of a sweep."""

import csv
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vaezoo.evaluate
import vaezoo.report
from tests.support.codes import FACTORS, LINEAR, SMOOTH, noise, rotation
from vaezoo.errors import UserError
from vaezoo.evaluation.codes_file import FileInputs, draw_rows, read
from vaezoo.evaluation.scores import evaluate_metrics
from vaezoo.evaluation.table import LatentTable
from vaezoo.evaluation.udr import udr_scores
from vaezoo.metrics import attribute_vectors

NAMES = np.array(["shape", "scale", "x", "y"])


def write(path: Path, **changes: Any) -> Path:
    """A whole file, but for the changes; None leaves an array out."""
    whole = {
        "codes": LINEAR.astype(np.float32),
        "factors": FACTORS.astype(np.uint8),
        "labels": FACTORS[:, 3],
        "logvars": np.full(LINEAR.shape, -5.0, np.float32),
        "factor_names": NAMES,
    }
    np.savez(path, **{name: array for name, array in {**whole, **changes}.items() if array is not None})
    return path


def call(monkeypatch: pytest.MonkeyPatch, main: Any, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["vaezoo", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_file_is_scored_without_a_model(in_tmp, monkeypatch, capsys):
    write(Path("codes.npz"))
    line = ["codes=codes.npz", "metric=full", "~metric.scores.dci_gbt", "~metric.scores.dci_hgb", "metric.seeds=2"]
    line += ["metric.floors=false"]
    assert call(monkeypatch, vaezoo.evaluate.main, *line) == 0
    written = json.loads(Path("metrics.json").read_text(encoding="utf-8"))
    scores = written["scores"]
    for name in ("mig_hist", "factor_vae", "modularity", "irs", "explicitness", "probe_logistic/test_acc"):
        assert scores[f"eval/{name}"] == pytest.approx(1, abs=2e-3)
    assert scores["eval/mig_hist/no_shape"] == pytest.approx(1, abs=2e-3)
    assert scores["eval/dci_lasso/disentanglement"] == scores["eval/dci_lasso"]
    of_models = {"elbo", "iwae", "reconstruction", "clustering", "cluster_cnn", "traversal_effect", "classifier"} | {
        "laplacian",
        "fid",
        "kid",
        "ffd",
        "kfd",
    }
    of_attributes = {"attribute_vectors", "top_attributes", "probe_attributes"}
    assert written["skipped"].keys() == of_models | of_attributes
    assert all("needs the model" in written["skipped"][name] for name in of_models)
    assert all("no binary attributes" in written["skipped"][name] for name in of_attributes)
    protocol = {"quantile": 0.99, "factor_bins": 20, "rows": 10000, "seed": 0, "repeats": 2, "interventional": True}
    assert written["protocols"]["irs"].items() >= protocol.items()
    assert written["about"]["codes"] == "codes.npz"
    assert np.load("metrics.npz")["dci_lasso/importance"].shape == (4, 4)
    assert "mig_hist" in capsys.readouterr().out
    assert sorted(path.name for path in Path(".").iterdir()) == ["codes.npz", "metrics.json", "metrics.npz"]


def test_codes_alone_and_another_folder(in_tmp, monkeypatch):
    write(Path("codes.npz"), factors=None, factor_names=None, labels=None, logvars=None)
    assert call(monkeypatch, vaezoo.evaluate.main, "codes=codes.npz", "out=here/there", "metric.rows=100") == 0
    written = json.loads(Path("here/there/metrics.json").read_text(encoding="utf-8"))
    assert {"eval/gtc", "eval/gwc", "eval/mis", "eval/correlation"} <= set(written["scores"])
    assert written["skipped"]["mig_hist"] == "the file has no array factors"
    assert written["skipped"]["active_units"] == "the file has no array logvars"
    assert (written["about"]["rows"], written["about"]["scored_rows"]) == (480, 100)
    assert not Path("metrics.json").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "codes=FILE.npz scores arrays"),
        (["run=.", "codes=codes.npz"], "only one of both"),
        (["run=.", "out=here"], "not a run folder"),
        (["codes=codes.npz", "metric=none"], "there to be scored"),
        (["codes=code.npz"], "must be a file or folder that exists"),
        (["codes=."], "cannot be read"),
        (["codes=codes.npz", "out=a_run"], "is the folder of a run"),
        (["codes=codes.npz", "out=codes.npz"], "cannot be made a folder"),
    ],
)
def test_what_cannot_be_asked_for(in_tmp, monkeypatch, capsys, arguments, told):
    write(Path("codes.npz"))
    Path("a_run/.hydra").mkdir(parents=True)
    Path("a_run/.hydra/config.yaml").write_text("seed: 0\n", encoding="utf-8")
    assert call(monkeypatch, vaezoo.evaluate.main, *arguments) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said
    assert not Path("metrics.json").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"codes": None}, "array codes is missing"),
        ({"factor": FACTORS}, "'factor' in it. Did you mean 'factors'"),
        ({"codes": LINEAR[:, 0]}, "codes must be (N, D) real numbers, not float64 of shape (480,)"),
        ({"codes": LINEAR.astype(complex)}, "not complex128"),
        ({"codes": LINEAR.astype(str)}, "codes must be"),
        ({"codes": np.where(FACTORS == 7, np.nan, LINEAR)}, "codes has rows with nan or inf, 60 of 480"),
        ({"codes": LINEAR[:1]}, "two rows"),
        ({"codes": LINEAR[:, :0]}, "one column"),
        ({"codes": np.array([{"a": 1}], dtype=object)}, "pickled objects"),
        ({"factors": FACTORS[:-1]}, "factors has 479 rows, codes has 480"),
        ({"factors": FACTORS[:, 0]}, "(N, K) whole numbers"),
        ({"factors": FACTORS + 0.0}, "factors must be (N, K) whole numbers, not float64"),
        ({"factors": FACTORS - 1}, "factors has values from -1"),
        ({"factors": FACTORS * 10**12}, "classes count from 0"),
        ({"labels": FACTORS}, "labels must be (N,)"),
        ({"labels": FACTORS[:7, 0]}, "labels has 7 rows"),
        ({"logvars": LINEAR[:, :2]}, "logvars has shape (480, 2), codes has (480, 4)"),
        ({"logvars": np.full(LINEAR.shape, -np.inf)}, "logvars has rows with nan or inf"),
        ({"factor_names": NAMES[:2]}, "factor_names must be 4 texts"),
        ({"factor_names": np.arange(4)}, "factor_names must be 4 texts"),
        ({"factors": None}, "factor_names must be 0 texts"),
    ],
)
def test_arrays_that_are_not_what_they_should_be(tmp_path, changes, told):
    with pytest.raises(UserError) as error:
        read(write(tmp_path / "codes.npz", **changes))
    assert told in str(error.value)
    assert "codes.npz" in str(error.value)


def test_files_that_are_not_what_they_should_be(tmp_path):
    whole = write(tmp_path / "codes.npz").read_bytes()
    middle = len(whole) // 3
    broken = {
        "empty": b"",
        "text": b"codes, factors\n1, 2\n",
        "truncated": whole[: len(whole) // 2],
        "corrupted": whole[:middle] + bytes(b ^ 255 for b in whole[middle : middle + 64]) + whole[middle + 64 :],
    }
    for name, content in broken.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            read(path)
    np.save(tmp_path / "single.npy", LINEAR)
    with pytest.raises(UserError, match="single array"):
        read(tmp_path / "single.npy")


def test_types_are_kept_or_widened(tmp_path):
    for given, kept in ((np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)):
        assert read(write(tmp_path / "a.npz", codes=LINEAR.astype(given)))["codes"].dtype == kept
    arrays = read(write(tmp_path / "a.npz", codes=FACTORS, labels=FACTORS[:, 0] > 1))
    assert arrays["codes"].dtype == np.float64
    assert set(arrays["labels"]) == {0, 1}


def test_attributes_are_judged_by_rows_that_taught_nothing(tmp_path):
    rng = np.random.default_rng(0)
    attributes = rng.integers(2, size=(300, 9))
    path = write(
        tmp_path / "a.npz",
        codes=rng.standard_normal((300, 200)),
        factors=attributes,
        labels=None,
        logvars=None,
        factor_names=None,
    )
    metrics = {"attribute_vectors": attribute_vectors}
    scores = evaluate_metrics(metrics, FileInputs(read(path), seed=0), seed=0, repeats=1)
    # By heart nearly all of them are right, but noise says nothing about another row.
    assert scores.values["eval/attributes_accuracy"] == pytest.approx(0.5, abs=0.1)


def test_rows_are_drawn_together(tmp_path):
    arrays = draw_rows(read(write(tmp_path / "a.npz")), 50, seed=1)
    levels = np.round(arrays["codes"] * FACTORS.std(axis=0) + FACTORS.mean(axis=0))
    np.testing.assert_array_equal(levels, arrays["factors"])
    assert len(np.unique(arrays["factors"], axis=0)) == 50
    inputs = FileInputs(arrays, seed=1)
    assert inputs.fixed["held_out"].sum() == 5
    assert inputs.fixed["factor_names"] == tuple(NAMES)


def test_metrics_are_imported_one_by_one_and_without_torch():
    lines = [
        "import sys, vaezoo.metrics as m",
        "assert not {'torch', 'sklearn', 'scipy', 'numpy'} & set(sys.modules)",
        "import vaezoo.metrics.votes",
        "from vaezoo.metrics import factor_vae, mig_hist, correlation, dci_gbt, irs, udr",
        "assert all(callable(f) for f in (factor_vae, mig_hist, correlation, dci_gbt, irs, udr))",
        "assert 'dci_hgb' in dir(m) and not hasattr(m, 'dci_gbm')",
        "import vaezoo.evaluation.codes_file, vaezoo.evaluation.scores",
        "assert 'torch' not in sys.modules",
    ]
    subprocess.run([sys.executable, "-c", "; ".join(lines)], check=True)


# ---- UDR of a sweep ----------------------------------------------------------------------------------------------


def run_folder(root: Path, beta: int, seed: int, codes: np.ndarray, **changes: Any) -> Path:
    """What a finished run leaves that a report reads."""
    folder = root / f"beta-{beta}" / str(seed)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(f"model: {{beta: {beta}}}\nseed: {seed}\nfolder: here\n")
    about = {"dataset": "squares", "data": {"origin": "made by the tests"}}
    (folder / "metrics.json").write_text(json.dumps({"scores": {"eval/elbo": -1.0}, "about": about}))
    (folder / "done.json").write_text("{}")
    nothing = {field.name: np.empty(0) for field in fields(LatentTable)}
    table = {"index": np.arange(len(codes)), "codes": codes, "logvars": np.full(codes.shape, -4.0), **changes}
    LatentTable(**{**nothing, **table}).save(folder / "latents.npz", checkpoint="abc")
    return folder


def test_report_compares_the_codes_of_the_runs(in_tmp, monkeypatch):
    root = Path("runs")
    run_folder(root, 4, 0, LINEAR)
    shuffled = np.random.default_rng(0).permutation(480)[:400]  # encoded fewer images
    rows = np.sort(shuffled)
    run_folder(root, 4, 1, -LINEAR[rows][:, [1, 0, 3, 2]], index=rows)
    run_folder(root, 1, 0, LINEAR @ rotation(4))
    run_folder(root, 1, 1, LINEAR @ rotation(4, 9))
    run_folder(root, 9, 0, LINEAR, logvars=np.empty((480, 0)))  # a model without a posterior
    assert call(monkeypatch, vaezoo.report.main, f"runs={root}", "udr=true") == 0
    table = {(r["model.beta"], r["seed"]): r for r in csv.DictReader((root / "report.csv").read_text().splitlines())}
    for seed in "01":
        found, mixed = table["4", seed], table["1", seed]
        assert float(found["udr_spearman"]) > 0.85 > 0.7 > float(mixed["udr_spearman"])
        assert float(found["udr_lasso"]) == pytest.approx(0.9, abs=0.05)
        assert float(found["udr_lasso_a2a"]) < float(found["udr_lasso"])
        assert float(found["udr_kept"]) == 4
    assert table["9", "0"]["udr_lasso_a2a"] == ""
    assert "udr_lasso" in (root / "report.html").read_text()
    assert call(monkeypatch, vaezoo.report.main, f"runs={root}") == 0
    assert "udr" not in (root / "report.csv").read_text()


def test_udr_needs_the_same_images(tmp_path):
    codes = np.vstack([SMOOTH] * 5)
    first = run_folder(tmp_path, 1, 0, codes)
    second = run_folder(tmp_path, 1, 1, codes, index=np.arange(2000, 4400))
    with pytest.raises(UserError, match=r"only 400 images in common.*same metric.rows"):
        udr_scores([first, second], ["same", "same"])
    other = run_folder(tmp_path, 1, 2, noise(3))  # of another width: not to be compared
    assert udr_scores([first, other], ["same", "same"]) == [{}, {}]
    (second / "latents.npz").write_bytes(b"PK")
    assert udr_scores([first, second], ["same", "same"]) == [{}, {}], "a damaged run is left out"
    (second / "latents.npz").unlink()
    assert udr_scores([first, second], ["same", "same"]) == [{}, {}]
