"""Codes and scores are those of the data that lie there now: other images or other factors are noticed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from tests.support.command_line import BARE, run, train_in
from tests.support.configuration import build_model, compose_train
from tests.support.datasets import data_module, squares
from tests.support.models import count_images
from vaezoo import evaluate
from vaezoo.config.changes import change_config
from vaezoo.data.sources.arrays import arrays
from vaezoo.errors import UserError
from vaezoo.evaluation.evaluate_model import evaluate_model
from vaezoo.runs.folder import read_config
from vaezoo.runs.provenance import check_data, hash_data
from vaezoo.training.begin import check_folder

PARTS = ("dataset.shape=[1,16,16]", "network=mlpk", "metric=none", "figure=none", "logger=csv", "latent.dim=4")
FACTORS = squares().factors
IMAGES = squares().pixels(np.arange(192))[:, 0]


def write(file: Path, images: np.ndarray = IMAGES, factors: np.ndarray = FACTORS) -> Path:
    file.parent.mkdir(exist_ok=True)
    np.savez(file, images=images, factors=factors)
    return file


def evaluate_file(model, file: Path, folder: Path) -> None:
    """Score a model on the data in a file, into a folder."""
    score = {"_target_": "vaezoo.metrics.mig_hist", "_partial_": True}
    metric = OmegaConf.create({"scores": {"mig_hist": score}, "rows": None, "test_rows": 10, "seeds": 1})
    data = data_module(arrays, name="arrays", path=str(file))
    figure = compose_train(*PARTS, "model=vae").figure
    evaluate_model(model, data, folder, title="t", metric=metric, figure=figure, seed=0)


def test_codes_and_scores_of_other_data_are_not_used_again(tmp_path):
    model = build_model("model=vae", *PARTS)
    seen = count_images(model)
    evaluate_file(model, write(tmp_path / "mine.npz"), tmp_path)
    evaluate_file(model, write(tmp_path / "copy" / "other name.npz"), tmp_path)
    assert sum(seen) == 192, "the same bytes have the same codes, whatever their file is called"
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    (tmp_path / "metrics.json").write_text(json.dumps({**metrics, "scores": {**metrics["scores"], "eval/old": 1.0}}))

    factors = np.random.default_rng(0).permutation(FACTORS)
    evaluate_file(model, write(tmp_path / "mine.npz", factors=factors), tmp_path)
    assert sum(seen) == 2 * 192
    np.testing.assert_array_equal(np.load(tmp_path / "latents.npz")["factors"], factors)
    assert "eval/old" not in json.loads((tmp_path / "metrics.json").read_text())["scores"]

    evaluate_file(model, write(tmp_path / "mine.npz", images=1 - IMAGES, factors=factors), tmp_path)
    assert sum(seen) == 3 * 192


@pytest.mark.parametrize("change", [{"factors": FACTORS[::-1]}, {"images": 1 - IMAGES}])
def test_a_run_is_not_scored_on_other_data(tmp_path, change):
    file = write(tmp_path / "mine.npz")
    (tmp_path / "environment.json").write_text(json.dumps({"data": arrays(str(file)).identity}))
    model = build_model("model=vae", *PARTS)
    evaluate_file(model, write(tmp_path / "elsewhere" / "yours.npz"), tmp_path)
    before = (tmp_path / "metrics.json").read_bytes()
    with pytest.raises(UserError, match=r"not those that this run began with: md5 was \w{32} and is \w{32}\."):
        evaluate_file(model, write(file, **change), tmp_path)
    assert (tmp_path / "metrics.json").read_bytes() == before


def test_the_identity_of_data_does_not_contain_the_name_of_their_file(tmp_path):
    data = {"origin": "own data", "name": "a.npz", "sha256": "1"}
    check_data(tmp_path, data)
    (tmp_path / "environment.json").write_text(json.dumps({"data": data}))
    check_data(tmp_path, {**data, "name": "b.npz"})
    assert hash_data({**data, "name": "b.npz"}) == hash_data(data) != hash_data({**data, "sha256": "2"})
    with pytest.raises(UserError, match="sha256 was 1 and is 2"):
        check_data(tmp_path, {**data, "sha256": "2"})
    old = {"origin": "own data", "name": "pictures", "listing_sha256": "3"}
    (tmp_path / "environment.json").write_text(json.dumps({"data": old}))
    check_data(tmp_path, data)


def test_the_path_of_data_is_absolute_and_may_become_another_one_of_the_same_bytes(in_tmp, monkeypatch, capsys):
    write(in_tmp / "mine.npz")
    write(in_tmp / "other" / "mine.npz", factors=FACTORS[::-1])
    quick = ["dataset.batch_size=8", "dataset.val_images=8", "callbacks.progress=false"]
    line = ["model=vae", "latent.dim=3", "dataset=arrays", "dataset.path=mine.npz", "max_batches=2", *quick, *BARE]
    folder = train_in("a", *line)
    assert read_config(folder)["dataset"]["path"] == str(in_tmp / "mine.npz")
    score = [f"run={in_tmp / 'a'}", "metric=score/mig_hist", "figure=none"]
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir("other")
        assert run(evaluate.main, monkeypatch, *score) == 0, "not the file of that name in this folder"
    os.renames("mine.npz", "moved/yours.npz")
    assert run(evaluate.main, monkeypatch, *score) == 2
    assert run(evaluate.main, monkeypatch, *score, "dataset.path=moved/yours.npz") == 0
    assert run(evaluate.main, monkeypatch, *score, "dataset.path=other/mine.npz") == 2
    assert run(evaluate.main, monkeypatch, *score, "dataset.path=") == 2
    errors = capsys.readouterr().err
    assert "not those that this run began with" in errors
    assert "dataset.path=: must be a file or folder that exists" in errors

    for path, is_right in (("other/mine.npz", False), ("moved/yours.npz", True)):
        config = OmegaConf.create(read_config(folder))
        change_config(config, [f"dataset.path={path}"])
        if is_right:
            check_folder(config, folder)
        else:
            with pytest.raises(UserError, match="not those that this run began with"):
                check_folder(config, folder)
    train_in("a", *(word.replace("mine.npz", "moved/yours.npz") for word in line))
    assert read_config(folder)["dataset"]["path"] == str(in_tmp / "moved" / "yours.npz")


def test_data_without_files_have_no_path():
    with pytest.raises(UserError, match="dataset=digits reads no files"):
        evaluate.move_data(compose_train("dataset=digits"), "mine.npz")
