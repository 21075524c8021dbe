"""Presets of launchers: what they tell Hydra's plugins, and what is refused before anything is made."""

import tomllib
from importlib.util import find_spec

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tests.support.paths import ROOT
from vaezoo.config.command_line import check_command_line
from vaezoo.config.compose import EXTRAS
from vaezoo.config.directory import DIRECTORY
from vaezoo.errors import UserError

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def hydra(*overrides: str) -> dict:
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
    node = OmegaConf.masked_copy(config, ["hydra", "launcher", "sweep", "seed"])
    return {name: OmegaConf.select(node, f"hydra.{name}") for name in ("launcher", "sweeper")}


def is_missing(extra: str) -> bool:
    return find_spec(f"hydra_plugins.hydra_{extra}_{'sweeper' if extra == 'optuna' else 'launcher'}") is None


def needs(extra: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(is_missing(extra), reason=f"pip install 'vaezoo[{extra}]'")


@needs("joblib")
def test_joblib_is_told_how_many():
    launcher = hydra("launcher=joblib", "launcher.jobs=3")["launcher"]
    assert launcher._target_.endswith("JoblibLauncher")
    assert launcher.n_jobs == 3
    assert hydra("hydra/launcher=joblib", "hydra.launcher.n_jobs=5")["launcher"].n_jobs == 5


@needs("submitit")
def test_slurm_is_told_what_was_asked():
    asked = ["launcher.threads=8", "launcher.gpus=2", "launcher.minutes=30", "launcher.restarts=1"]
    launcher = hydra("launcher=slurm", *asked)["launcher"]
    assert launcher._target_.endswith("SlurmLauncher")
    assert [launcher.cpus_per_task, launcher.gpus_per_node, launcher.timeout_min] == [8, 2, 30]
    assert [launcher.max_num_timeout, launcher.array_parallelism] == [1, 256]


@needs("ray")
def test_ray_counts_jobs():
    assert hydra("launcher=ray", "launcher.jobs=3")["launcher"].ray.init.num_cpus == 3


@needs("optuna")
@pytest.mark.parametrize("key", ["sweep.dry=true", "sweep.rerun=all"])
def test_what_has_no_effect_on_a_search_is_refused(key):
    with pytest.raises(UserError, match=f"{key}: a search"):
        check_command_line("train", ["-m", "sweep=optuna", "dataset=digits", key])


@needs("optuna")
def test_optuna_is_told_what_to_look_for():
    sweeper = hydra("sweep=optuna", "sweep.trials=7", "sweep.direction=minimize", "seed=4")["sweeper"]
    assert [sweeper.n_trials, sweeper.direction, sweeper.n_jobs] == [7, "minimize", 1]
    assert sweeper.sampler.seed == 4
    assert hydra()["sweeper"]._target_.endswith("Study")


@pytest.mark.parametrize(("plugin", "extra"), EXTRAS.items())
def test_a_plugin_that_is_missing_is_named_with_its_command(plugin, extra):
    assert extra in PROJECT["optional-dependencies"]
    choice = "=".join(plugin.rsplit("/", 1))
    if is_missing(extra):
        with pytest.raises(UserError, match=rf"{choice}: this plugin .* pip install 'vaezoo\[{extra}\]'"):
            check_command_line("train", ["-m", choice])


@needs("joblib")
@pytest.mark.parametrize("choice", ["launcher=joblib", "hydra/launcher=joblib"])
def test_a_launcher_without_a_study_is_refused(choice):
    with pytest.raises(UserError, match="launchers start the jobs of a study; without -m"):
        check_command_line("train", [choice, "dataset=digits"])
    check_command_line("train", ["--cfg", "job", choice, "dataset=digits"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("launcher.jobs=0", "launcher.jobs=0: must be a whole number of at least 1"),
        ("launcher.threads=0", "launcher.threads=0: must be a whole number of at least 1, or null"),
        ("launcher.minutes=5", "'launcher.minutes' is not a key of this configuration"),
        ("+launcher.cores=5", "'launcher.cores' is not a key of this configuration"),
        ("launcher=joblip", "Did you mean 'joblib'"),
        ("launcher=packed", "launcher=packed: this option was removed. launcher=joblib trains several"),
        ("launcher=submitit", "launcher=submitit: this option was removed. launcher=joblib trains several"),
        ("launcher=local,packed", "launcher=packed: this option was removed"),
    ],
)
def test_slips(line, message):
    with pytest.raises(UserError, match=message):
        check_command_line("train", ["-m", line])
