"""A run in one file: its numbers elsewhere, what stays behind, and the model card."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

import vaezoo
import vaezoo.share
from tests.support.command_line import run as run_command
from tests.support.command_line import train_in
from vaezoo.reporting.packing import pack_run, remove_paths, select_environment, write_packed
from vaezoo.reporting.reading import read_run

QUICK = ["logger=csv", "callbacks.progress=false", "max_batches=2", "seed=1"]
SCORES = ["metric=[score/elbo,score/gtc]", "metric.floors=false", "figure=samples"]


def pack(folder: Path, to: Path, **options) -> Path:
    write_packed(to, pack_run(folder, to.name, **options).members)
    return to


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A beta-VAE of the user's own images, scored and drawn."""
    root = tmp_path_factory.mktemp("mine")
    np.savez(root / "mine.npz", images=load_digits().images[:400] / 16)
    line = ["model=betavae", "dataset=arrays", f"dataset.path={root / 'mine.npz'}", *QUICK, *SCORES]
    return train_in(root / "my run", *line, "launcher=slurm", "launcher.account=lab", f"launcher.setup=[cd {root}]")


@pytest.fixture(scope="module")
def file(folder):
    return pack(folder, folder.with_name("shared.zip"), figures=True, latents=True)


@pytest.mark.parametrize("model", ["vae", "cvae", "infovaegan"])
def test_numbers_are_those_of_the_folder(model, tmp_path, monkeypatch):
    """Bit for bit, and without the data, also where batch statistics of real images are needed."""
    folder = train_in(tmp_path / "run", f"model={model}", "dataset=digits", *QUICK, "metric=none", "figure=none")
    before = vaezoo.load(folder)
    file = pack(folder, tmp_path / "run.zip")
    images, labels = load_digits().images[:70] / 16, load_digits().target[:70]
    codes, pictures = before.encode(images, labels), before.reconstruct(images, labels)
    monkeypatch.setattr("vaezoo.evaluation.calibration.recalibrate", None)
    after = vaezoo.load(file)
    assert np.array_equal(after.encode(images, labels), codes)
    assert np.array_equal(after.reconstruct(images, labels), pictures)
    assert np.array_equal(after.sample(3), before.sample(3))
    assert ("batch_norm.safetensors" in zipfile.ZipFile(file).namelist()) == before.model.recalibrates
    assert file.stat().st_size < (folder / "checkpoints" / "last.ckpt").stat().st_size


def test_a_shared_run_says_what_the_folder_says(folder, file):
    before, after = vaezoo.load(folder), vaezoo.load(str(file))
    assert (after.state, after.title, after.figures) == ("finished", before.title, ["samples"])
    assert after.scores == before.scores
    assert after.protocols == before.protocols
    assert np.array_equal(after.latents.codes, before.latents.codes)
    assert np.array_equal(after.history["train/loss"], before.history["train/loss"], equal_nan=True)
    assert read_run(after.folder).environment["torch"] == read_run(folder).environment["torch"]


def test_it_is_scored_elsewhere_with_the_data_at_another_place(folder, file, tmp_path):
    moved = tmp_path / "other.npz"
    moved.write_bytes((folder.parent / "mine.npz").read_bytes())
    elsewhere = tmp_path / "file.zip"
    elsewhere.write_bytes(file.read_bytes())
    options = {"metric": "score/elbo", "figure": "none", "out": tmp_path / "scores", "metric.floors": False, "seed": 1}
    scores = vaezoo.evaluate(elsewhere, **options, **{"dataset.path": moved})
    assert scores["elbo"] == vaezoo.load(folder).scores["elbo"]
    for where in (elsewhere, vaezoo.load(elsewhere)):
        with pytest.raises(vaezoo.UserError, match="Add out=FOLDER"):
            vaezoo.evaluate(where, metric="score/elbo")
    with pytest.raises(vaezoo.UserError, match=r"needs dataset\.path"):
        vaezoo.evaluate(elsewhere, metric="score/irs", out=tmp_path / "scores")
    np.savez(moved, images=load_digits().images[400:800] / 16)
    with pytest.raises(vaezoo.UserError, match="not those that this run began with"):
        vaezoo.evaluate(elsewhere, metric="score/irs", out=tmp_path / "scores", **{"dataset.path": moved})


def test_it_cannot_be_trained_further(file, tmp_path):
    """An unpacked run would be trained from new weights, and lose the old ones."""
    zipfile.ZipFile(file).extractall(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for place in (file, tmp_path):
        with pytest.raises(vaezoo.UserError, match="a shared run has no optimisers"):
            vaezoo.train(run=place, max_batches=9)
    assert sorted(tmp_path.rglob("*")) == before
    assert vaezoo.load(tmp_path).model.batches == 2


def test_nothing_of_the_machine_is_packed(folder, file):
    with zipfile.ZipFile(file) as archive:
        texts = {
            name: archive.read(name).decode() for name in archive.namelist() if name.endswith(("json", "yaml", "md"))
        }
        assert archive.namelist()[0] == "README.md"
    for name, text in texts.items():
        for private in (str(folder), str(folder.parent), str(Path.home()), "lab", "command", "direct_url"):
            assert private not in text, (name, private)
    config = yaml.safe_load(texts[".hydra/config.yaml"])
    assert config["folder"] == "."
    assert config["dataset"]["path"] is None
    assert config["logger"] == {}


def test_equal_runs_make_equal_files(folder, file, tmp_path):
    again = pack(folder, tmp_path / "shared.zip", figures=True, latents=True)
    assert again.read_bytes() == file.read_bytes()


def test_the_card_has_what_the_hub_reads(file):
    card = zipfile.ZipFile(file).read("README.md").decode()
    _, head, body = card.split("---\n", 2)
    entries = yaml.safe_load(head)
    assert entries["library_name"] == "vaezoo"
    assert {"betavae", "arrays"} <= set(entries["tags"])
    scores = {entry["type"]: entry["value"] for entry in entries["model-index"][0]["results"][0]["metrics"]}
    assert scores["elbo"] == vaezoo.load(file).scores["elbo"]
    assert "license" not in entries
    assert "![samples](figures/samples.png)" in body
    assert 'vaezoo.load("shared.zip")' in body
    assert "2 batches of 64 images" in body
    assert "> Higgins et al. (2017). beta-VAE" in body
    assert [line for line in body.splitlines() if line.startswith("## ")] == [
        *("## Use", "## Intended use", "## Training", "## Scores", "## Citation")
    ]


def test_own_pictures_and_scores_of_other_weights_are_left_out(folder, tmp_path):
    packed = pack_run(folder, "x.zip", license="mit")
    assert not [name for name in packed.members if name.startswith("figures/") or name == "latents.npz"]
    assert packed.left_out == ["pictures: they show your own data; figures=true packs them"]
    assert "license: mit" in packed.members["README.md"].decode()
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["about"]["checkpoint"] = "0" * 16
    other = tmp_path / "run"
    for name in ("checkpoints/last.ckpt", ".hydra/config.yaml"):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes((folder / name).read_bytes())
    (other / "metrics.json").write_text(json.dumps(metrics))
    packed = pack_run(other, "x.zip")
    assert set(packed.members) == {"README.md", "weights.safetensors", ".hydra/config.yaml"}
    assert packed.left_out[0].startswith("scores and pictures: there are none of these weights")


def test_a_class_of_a_stranger_is_not_built(folder, tmp_path):
    members = dict(pack_run(folder, "x.zip").members)
    text = members[".hydra/config.yaml"].decode()
    members[".hydra/config.yaml"] = text.replace("vaezoo.latents.gaussian.Gaussian", "my_package.Space").encode()
    write_packed(tmp_path / "x.zip", members)
    with pytest.raises(vaezoo.UserError, match="trust=my_package"):
        vaezoo.load(tmp_path / "x.zip")


def test_the_command(folder, in_tmp, monkeypatch, capsys):
    assert run_command(vaezoo.share.main, monkeypatch, f"run={folder}", "to=a b.zip") == 0
    assert "left out  pictures" in capsys.readouterr().out
    assert vaezoo.load("a b.zip").state == "finished"
    Path("mine.zip").write_bytes(b"my thesis")
    for line, message in (
        (["to=x.tar"], "ends with .zip"),
        (["to=mine.zip"], "exists and is not the file of a shared run"),
        (["to=x.zip", "checkpoint=previous"], "previous.ckpt is missing"),
        (["to=x.zip", "run=a b.zip"], "not a run folder"),
        (["to=x.zip", "latent=true"], "latent=true: there is no such latent"),
        ([], "to="),
    ):
        assert run_command(vaezoo.share.main, monkeypatch, f"run={folder}", *line) == 2
        assert message in capsys.readouterr().err
    assert Path("mine.zip").read_bytes() == b"my thesis"
    assert not Path("x.zip").exists()


def test_paths_are_shortened():
    homes = {"/runs/a": ".", "/home/me": "~"}
    values = {
        "/runs/a": ".",
        "/runs/a/profile": "./profile",
        "/runs/ab/x": "x",
        "/home/me/data/x y.npz": "x y.npz",
        "~/x": "x",
        "C:\\Users\\me\\x.npz": "x.npz",
        "no weights in /opt/data/inception.pth, or none": "no weights in inception.pth, or none",
        "mean/std and a/b/c of 1 / 2": "mean/std and a/b/c of 1 / 2",
        "https://example.org/a/b": "https://example.org/a/b",
        "https://me:pass@example.org/a": "https://***@example.org/a",
        "/old/run@0123456789abcdef": "run@0123456789abcdef",
    }
    assert remove_paths(list(values), homes) == list(values.values())
    assert remove_paths({"a": [1, None, {"b": "/x/y"}]}, homes) == {"a": [1, None, {"b": "y"}]}


def test_an_environment_keeps_what_numbers_depend_on():
    git = {"commit": "abc", "changed": True, "diff": "secret"}
    packages = {"torch": "2.6", "my-company": "1"}
    environment = {"command": "x", "variables": {"CUDA_VISIBLE_DEVICES": "GPU-1"}, "packages": packages, "git": git}
    shared = select_environment({**environment, "seed": 3, "platform": "Linux-6.1-mine-x86_64"})
    assert shared["packages"] == {"torch": "2.6"}
    assert shared["git"] == {"commit": "abc", "changed": True, "diff": ""}
    assert (shared["seed"], shared["platform"]) == (3, "Linux")
    assert not {"command", "variables"} & set(shared)
