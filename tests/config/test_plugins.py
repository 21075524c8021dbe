"""Plug-ins: where their files are found, what is checked in them, and which of their code a run folder may build."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import vaezoo.train
from tests.support.configuration import check_line
from tests.support.paths import ROOT
from tests.support.plugins import OWN, install_package, write_package
from vaezoo.config import plugins, signatures, trust
from vaezoo.config.identity import hash_training
from vaezoo.config.plugins import take_folders
from vaezoo.errors import UserError
from vaezoo.runs.folder import HYDRA, read_recorded_folders, use_recorded_folders


@pytest.fixture(autouse=True)
def no_folders_remain(monkeypatch):
    """Forget the folders and the code of a test after it."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    signatures.forget_files()
    yield
    plugins.use_folders([])
    signatures.forget_files()
    for function in (plugins.list_installed, trust.list_own_targets):
        function.cache_clear()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return the configuration folder of an installed plug-in, whose code fails when it is imported."""
    conf = write_package(tmp_path, "their_zoo", "theirs", targets="more: {_target_: os.system}\n")
    install_package(tmp_path, "their_zoo")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.list_installed.cache_clear()
    trust.list_own_targets.cache_clear()
    return conf


FORMS = {
    "--config-dir DIR": OWN,
    "--config-dir=DIR": (f"--config-dir={OWN[1]}",),
    "-cd DIR": ("-cd", OWN[1]),
    "searchpath": (f"hydra.searchpath=['{OWN[1]}']",),
    "file": (f"hydra.searchpath=['file://{OWN[1]}']",),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_names_the_same_study_of_the_same_jobs(form):
    words = ["-m", *form, "model=l1vae", "dataset=crosses", "seed=0,1", "metric=none", "figure=none"]
    line = vaezoo.train.complete_arguments(take_folders(words))
    assert line[-1] == "hydra.sweep.dir='multirun/dataset-crosses_model-l1vae_by_seed'"
    assert not [word for word in line if "my_zoo" in word]


def test_a_folder_of_a_package_is_found_by_its_dotted_name(installed):
    line = take_folders(["hydra.searchpath=[pkg://their_zoo.conf]", "-m"])
    assert line == ["-m"]
    assert plugins.named_folders == [installed]


def test_the_identity_does_not_depend_on_the_place(tmp_path):
    hashes = []
    for place in ("a", "b"):
        take_folders(["--config-dir", str(write_package(tmp_path / place, "my_own", "own"))])
        config = check_line(["model=own", "dataset=digits"])
        assert config is not None
        hashes.append(hash_training(config))
    assert hashes[0] == hashes[1]


SLIPS = [
    ("model=l1va", "there is no such model. Did you mean 'l1vae'?"),
    ("dataset=cros", "there is no such dataset. Did you mean 'crosses'?"),
    ("network=linea", "there is no such network. Did you mean 'linear'?"),
    ("metric=score/hoye", "there is no such metric. Did you mean 'score/hoyer'?"),
    ("figure=pixel_error", "there is no such figure. Did you mean 'pixel_errors'?"),
    ("experiment=sparse_cross", "there is no such experiment. Did you mean 'sparse_crosses'?"),
    ("model=l1vae model.sparsty=1", "not a key of this configuration. Did you mean 'model.sparsity'?"),
    ("model=l1vae model.sparsity=-1", "model.sparsity=-1: must be a number of at least 0, or a schedule"),
    ("-m model=l1vae model.sparsity=1,-1", "model.sparsity=-1: must be a number of at least 0, or a schedule"),
    ("network=linear network.encoder.bias=2", "network.encoder.bias=2: must be true or false"),
    ("dataset=crosses dataset.size=1", "dataset.size=1: must be a whole number of at least 2"),
    ("metric=score/hoyer metric.scores.hoyer.normalise=2", "normalise=2: must be true or false"),
    ("model=l1vae model._target_=my_zo.l1vae.L1VAE", "Python finds no my_zo."),
    ("model=l1vae model._target_=my_zoo.l1va.L1VAE", "my_zoo has no l1va. Did you mean 'l1vae'?"),
    ("model=l1vae model._target_=my_zoo.l1vae.L1VEA", "my_zoo.l1vae has no L1VEA. Did you mean 'L1VAE'?"),
    ("model=vae model._target_=vaezoo.models.vae.VEA", "vaezoo.models.vae has no VEA. Did you mean 'VAE'?"),
]


@pytest.mark.parametrize(("line", "message"), SLIPS)
def test_slips_are_answered_with_the_names_of_the_plug_in(line, message):
    take_folders(OWN)
    with pytest.raises(UserError) as refusal:
        check_line(line.split())
    assert message in str(refusal.value)


def test_facts_of_a_class_hold(installed):
    with pytest.raises(UserError, match=r"Theirs is given the class of each image, but dataset=dsprites has no labels"):
        check_line(["model=theirs", "dataset=dsprites"])


@pytest.mark.parametrize(
    "word", ["--config-dir=nowhere", "hydra.searchpath=[nowhere]", "hydra.searchpath=[pkg://no.conf]"]
)
def test_a_folder_that_is_missing_is_named(word, in_tmp):
    with pytest.raises(UserError, match=r"must be a folder that exists"):
        take_folders([word])


def test_two_files_of_one_name_are_refused(tmp_path, installed):
    with pytest.raises(UserError, match=r"vaezoo itself has a file model/vae.yaml, too"):
        take_folders(["--config-dir", str(write_package(tmp_path, "a", "vae"))])
    with pytest.raises(UserError, match=r"their_zoo/conf has a file model/theirs.yaml, too"):
        take_folders(["--config-dir", str(write_package(tmp_path, "b", "theirs"))])
    take_folders(["--config-dir", str(installed)])  # the same folder, found twice


def test_an_installed_plug_in_is_found_and_nothing_of_it_imported(installed):
    program = (
        "import sys\n"
        "from vaezoo.train import main\n"
        "for line in ['model=their', 'model=theirs model.width=0', 'model=theirs dataset=digits --cfg job']:\n"
        "    sys.argv[1:] = line.split()\n"
        "    try: main()\n"
        "    except SystemExit as end: print('status', end.code)\n"
        "print('loaded', *{'torch', 'their_zoo'} & set(sys.modules))"
    )
    environment = {"PYTHONPATH": f"{installed.parents[1]}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert "Did you mean 'theirs'?" in done.stderr
    assert "model.width=0: must be a number above 0" in done.stderr
    assert "_target_: their_zoo.models.Theirs" in done.stdout
    assert done.stdout.rstrip().endswith("loaded")


def test_a_plug_in_without_its_files_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "empty_zoo").mkdir()
    install_package(tmp_path, "empty_zoo")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.list_installed.cache_clear()
    assert plugins.list_installed() == {}
    assert "the plug-in empty_zoo is installed, but there is no folder" in capsys.readouterr().err


def test_a_run_folder_may_build_what_an_installed_plug_in_names_of_its_own(installed):
    assert trust.is_trusted("their_zoo.models.Theirs", [])
    for target in ("os.system", "their_zoo.models.Other", "my_zoo.l1vae.L1VAE"):
        assert not trust.is_trusted(target, [])


def test_a_command_that_goes_on_names_the_packages_to_trust():
    ours, mine, other = ({"_target_": name} for name in ("vaezoo.models.vae.VAE", "my_zoo.l1vae.L1VAE", "other.Data"))
    assert trust.name_trusted({"model": ours}) == ""
    assert trust.name_trusted({"model": mine, "dataset": {"source": mine}}) == " trust=my_zoo"
    assert trust.name_trusted({"model": mine, "dataset": other}) == " 'trust=[my_zoo,other]'"


def record_sources(folder: Path, content) -> None:
    (folder / HYDRA).parent.mkdir(parents=True, exist_ok=True)
    (folder / HYDRA).write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")


def test_the_recorded_folders_are_used_only_with_trust(tmp_path):
    conf = write_package(tmp_path / "place", "own_zoo", "own")
    sources = [
        {"provider": plugins.NAMED, "path": str(conf), "schema": "file"},
        {"provider": plugins.NAMED, "path": str(tmp_path / "gone"), "schema": "file"},
        {"provider": "main", "path": str(tmp_path), "schema": "file"},
    ]
    record_sources(tmp_path, {"hydra": {"runtime": {"config_sources": sources}}})
    use_recorded_folders(tmp_path, [])
    assert plugins.named_folders == []
    use_recorded_folders(tmp_path, ["own_zoo"])
    assert plugins.named_folders == [conf]
    assert sys.path[-1] == str(tmp_path / "place")


@pytest.mark.parametrize(
    "content", ["", "hydra: 3", "hydra: {runtime: {config_sources: [3, {provider: x}]}}", "\t:\x00"]
)
def test_a_damaged_record_says_nothing(content, tmp_path):
    record_sources(tmp_path, content)
    assert read_recorded_folders(tmp_path) == []
