"""Studies: what is asked for, where it lies, and what happens when it is asked for again."""

import gc
import itertools
import json
import signal
import subprocess
import sys
import time
import weakref
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

import vaezoo.train
from tests.support.command_line import run, same_weights, start_train, train_in
from tests.support.configuration import compose_train
from vaezoo.config.compose import Composer
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.identity import hash_evaluation, hash_training
from vaezoo.config.values import check_config
from vaezoo.errors import UserError
from vaezoo.runs.folder import LOCK, WORKER, is_done, lock_folder, mark_finished, read_reason, read_scores, read_state
from vaezoo.studies import study

QUICK = ["dataset=digits", "network=mlpk", "callbacks.progress=false", "metric=none", "figure=none", "logger=csv"]
EXPERIMENTS = sorted(path.parent.name for path in (Path(DIRECTORY) / "experiment").glob("*/paper.yaml"))
PRESETS = sorted(path.stem for path in (Path(DIRECTORY) / "sweep").glob("*.yaml"))


def asked(*line: str) -> study.Request:
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        first = [argument for argument in line if "," not in argument and "range" not in argument]
        return study.read_request(line, Composer("train")(first).sweep)


# ---- identity --------------------------------------------------------------------------------------------------

LINE = ("model=betavae", "dataset=digits")


DECISIVE = ("model.beta=5", "seed=1", "latent.dim=3", "max_batches=7", "trainer.precision=64-true", "network=convj32")
DECISIVE += ("dataset.batch_size=32", "optimizer.lr=0.1", "dataset.split_seed=1", "+trainer.accumulate_grad_batches=2")
NEUTRAL = ("model.beta=2", "model.beta=2.0", "logger=csv", "callbacks.progress=false", "trainer=cpu", "metric=full")
NEUTRAL += (
    "trainer=ddp",
    "folder=elsewhere",
    "sweep.rerun=all",
    "log_every=1",
    "dataset.residence=host",
    "figure=none",
)


@pytest.mark.parametrize("override", DECISIVE)
def test_what_changes_the_weights_changes_the_identity(override):
    assert hash_training(compose_train(*LINE, override)) != hash_training(compose_train(*LINE))


@pytest.mark.parametrize("override", NEUTRAL)
def test_what_cannot_change_the_weights_leaves_the_identity(override):
    assert hash_training(compose_train(*LINE, override)) == hash_training(compose_train(*LINE))


@pytest.mark.parametrize("model", ["betavae", "vaegan", "gmvae", "annealedvae"])
def test_a_composed_job_and_its_recorded_configuration_have_the_same_hash(model):
    """A run that was trained by its whole command line is finished for `run=DIR`, too."""
    config = compose_train(f"model={model}", "dataset=digits", "metric=full", "figure=full", "logger=csv", "folder=x")
    recorded = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    assert hash_training(recorded) == hash_training(config)
    assert hash_evaluation(recorded) == hash_evaluation(config)


def test_scores_and_figures_have_a_hash_of_their_own():
    before = hash_evaluation(compose_train(*LINE))
    assert before == hash_evaluation(compose_train(*LINE, "seed=1"))
    assert len({before, *(hash_evaluation(compose_train(*LINE, word)) for word in ("metric=full", "figure=none"))}) == 3


@pytest.mark.parametrize("name", ["dipvae", "gmvae", "infovaegan"])
def test_configurations_that_are_put_together_are_those_that_hydra_composes(name):
    line = [f"model={name}", "dataset=digits", "seed=3", "optimizer.lr=1e-2", "latent.dim=7", "~optimizer.eps"]
    line += ["+trainer.max_time=null", "hydra.sweep.dir=x"]
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        composer = Composer("train")
        composer([f"model={name}", "dataset=digits", "seed=4"])
        made, expected = composer(line), compose("train", line)
    assert OmegaConf.to_container(made, resolve=False) == OmegaConf.to_container(expected, resolve=False)
    assert hash_training(made) == hash_training(expected)


# ---- what is asked for -----------------------------------------------------------------------------------------


def test_the_same_words_in_another_order_are_the_same_study():
    name = asked("model=betavae", "dataset=digits", "seed=0,1", "model.beta=1,4").name
    assert name == "dataset-digits_model-betavae_by_model.beta_seed"
    assert (
        asked("seed=0,1", "dataset=digits", "model.beta=1,4", "model=betavae", "logger=csv", "metric=none").name == name
    )
    assert asked("seed=range(5)", "dataset=digits", "model.beta=7,8", "model=betavae").name == name
    assert asked("model=betavae", "dataset=digits", "sweep=beta").name == name, "a preset is what it stands for"
    assert asked("model=betavae", "dataset=digits", "seed=0,1", "model.beta=1,4", "max_batches=5").name != name
    assert asked("model=betavae", "dataset=digits", "seed=0,1", "latent.dim=1,4").name != name
    assert asked("model=betavae", "seed=0,1", "sweep.name=mine").name == "mine"


def test_grids_are_united_and_the_command_line_replaces_their_keys():
    presets = [{"model": "betavae", "model.beta": "1,4", "seed": "0,1"}, {"model": "dipvae", "seed": "range(3)"}]
    lines = study.apply_grids(["dataset=digits", "seed=5,6", "max_batches=3"], presets)
    jobs = {frozenset(job) for line in lines for job in study.list_combinations(line)}
    common = {"dataset=digits", "max_batches=3"}
    expected = {
        frozenset({f"model={model}", *beta, f"seed={seed}", *common})
        for model, betas in (("betavae", [["model.beta=1"], ["model.beta=4"]]), ("dipvae", [[]]))
        for beta, seed in itertools.product(betas, (5, 6))
    }
    assert jobs == expected


def test_an_interval_needs_a_sweeper_that_searches():
    with pytest.raises(UserError, match="sweep=optuna"):
        study.list_combinations(["model.beta=interval(1,4)"])


def test_jobs_that_are_the_same_are_trained_once():
    config = OmegaConf.create(
        {"sweep": {"grids": [], "over": ["model.beta"]}, "hydra": {"sweep": {"subdir": "${job_folder:}"}}}
    )
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        jobs = study.list_jobs(Path("x"), config, [*LINE, "model.beta=1,1.0,4"], Composer("train"))
    assert [job.name for job in jobs] == ["model.beta=1", "model.beta=4"]
    assert all(job.folder == Path("x") / f"{job.name.replace('=', '-')}-{job.training_id[:8]}" for job in jobs)


def combinations(*line: str) -> list[tuple[str, ...]]:
    """Return all jobs of a command line; the first and the last of each grid are composed and checked.

    Scores and figures are the same for all of them and half of the work, so the first job alone has them.
    """
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        composer = Composer("train")
        grids = [study.list_combinations(grid) for grid in study.apply_grids(line, composer(line).sweep.grids)]
        check_config(composer(grids[0][0]))
        for jobs in grids:
            for job in (jobs[0], jobs[-1]):
                check_config(composer([*job, "metric=none", "figure=none"]))
    jobs = [job for jobs in grids for job in jobs]
    assert len(jobs) == len(set(jobs))
    return jobs


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (["sweep=seeds"], 5),
        (["sweep=beta", "model=betavae"], 36),
        (["sweep=lambda_od", "model=dipvae"], 36),
        (["sweep=latent_dim", "model=betavae"], 15),
        (["experiment=betatcvae"], 36),
    ],
)
def test_the_jobs_of_a_preset_can_be_trained(line, count):
    assert len(combinations(*line)) == count


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_first_job_of_an_experiment_can_be_trained(name):
    """The size smoke is run: tests/papers/test_papers_smoke.py. The size paper is checked below, with all its jobs."""
    line = [f"experiment={name}/small"]
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        composer = Composer("train")
        grid = study.apply_grids(line, composer.compose_base(line).sweep.grids)[0]
        check_config(composer([*study.list_combinations(grid)[0], "figure=none"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_jobs_of_a_paper_can_be_trained(name):
    assert combinations(f"experiment={name}/paper")


def test_every_preset_is_tried_above():
    named = {"seeds", "beta", "lambda_od", "latent_dim", "betatcvae"}
    assert set(PRESETS) - {"optuna"} == named


# ---- the life of a study ---------------------------------------------------------------------------------------


def put(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_states(tmp_path):
    assert read_state(tmp_path / "new") == "new"
    assert read_state(put(tmp_path / "a", error_txt="interrupted by SIGTERM\n")) == "stopped"
    trace = "Traceback (most recent call last):\n  File\nValueError: made up\n"
    assert read_state(put(tmp_path / "b", error_txt=trace)) == "failed"
    assert read_reason(tmp_path / "b") == "ValueError: made up"
    killed = put(tmp_path / "c")
    put(killed / "checkpoints", last_ckpt="")
    assert read_state(killed) == "stopped"
    mark_finished(killed, "1", "2")
    assert read_state(killed) == "finished"
    assert is_done(killed, "1", "2")
    assert not is_done(killed, "1", "3")
    for lock in (LOCK, WORKER):
        with lock_folder(killed, lock):
            assert read_state(killed) == "running"
    assert read_state(killed) == "finished"


@pytest.mark.parametrize(("rerun", "launched"), [("failed", "dcb"), ("all", "dcba"), ("none", "dc")])
def test_who_is_launched(rerun, launched):
    states = dict(zip("abcde", ["finished", "failed", "stopped", "new", "running"], strict=True))
    assert "".join(study.select_jobs(states, rerun)) == launched


def test_jobs_that_were_lost_with_a_killed_process_are_launched_once_more(tmp_path):
    """Of five jobs, "b" always kills its process, and the one beside it is lost, too."""
    jobs = [study.Job(name, (name,), tmp_path / name, "1", "2") for name in "abcde"]
    launched: list[str] = []

    def launch(lines: list[list[str]]) -> list[str]:
        names = [name for (name,) in lines]
        launched.append("".join(names))
        for name in names[: names.index("b") + 2] if "b" in names else names:
            put(tmp_path / name / ".hydra", config_yaml="folder: x")
            if "b" not in names or name < "b":
                mark_finished(tmp_path / name, "1", "2")
        if "b" in names:
            raise BrokenExecutor
        return names

    results = study.launch_jobs(jobs, launch)
    assert launched == ["abcde", "bcde", "de"]
    assert list(results.values()) == ["d", "e"]
    assert study.launch_jobs([], launch) == {}


def test_a_crash_of_native_code_is_a_failure_with_its_place(tmp_path):
    program = (
        "import ctypes, sys, pathlib; from vaezoo.runs.folder import note_crash\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with note_crash(folder): pass\n"
        "assert not list(folder.iterdir())\n"
        "with note_crash(folder): ctypes.string_at(0)"
    )
    process = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True)
    assert process.returncode == -signal.SIGSEGV
    assert read_state(tmp_path) == "failed"
    assert read_reason(tmp_path) == "Fatal Python error: Segmentation fault"


def test_two_processes_do_not_train_in_one_folder(in_tmp, monkeypatch, capsys):
    with lock_folder(Path("run")):
        assert run(vaezoo.train.main, monkeypatch, *QUICK, "max_batches=2", "hydra.run.dir=run") == 2
    assert "another process is training there" in capsys.readouterr().err
    assert not Path("run/checkpoints").exists()


def test_what_waits_for_wandb(tmp_path):
    assert not study.is_waiting_for_wandb(tmp_path)
    record = tmp_path / "seed-0" / "wandb" / "offline-run-1-ab"
    put(record, run_wandb="")
    assert study.is_waiting_for_wandb(tmp_path)
    (record / "run.wandb.synced").touch()
    assert not study.is_waiting_for_wandb(tmp_path)


def stamps(root: Path) -> dict[str, int]:
    return {path.parent.parent.name: path.stat().st_mtime_ns for path in root.glob("*/checkpoints/last.ckpt")}


def test_a_study_is_gone_on_with(in_tmp, monkeypatch, capsys):
    """Its second job overflows; asked again it skips, adds, scores and repeats as told."""
    line = ["-m", "model=betavae", "optimizer.lr=1e-3,1e30", "max_batches=8", "sweep.name=mine", *QUICK]

    def again(*words: str) -> tuple[int, str]:
        status = run(vaezoo.train.main, monkeypatch, *line, *words)
        said = capsys.readouterr()
        return status, said.out + said.err

    root = Path("multirun/mine")
    status, said = again()
    assert status == 1
    assert "2: 1 finished, 1 failed" in said
    bad = next(root.glob("optimizer.lr-1e+30-*"))
    good = next(root.glob("optimizer.lr-0.001-*"))
    assert f"failed    optimizer.lr=1e+30: {read_reason(bad)}" in said
    members = json.loads((root / "study.json").read_text())
    assert {job["folder"] for job in members["jobs"]} == {good.name, bad.name}
    first = stamps(root)[good.name]

    status, said = again("sweep.rerun=none")
    assert (status, "2: 1 finished, 1 failed; 0 to do" in said) == (1, True)
    status, said = again()
    assert (status, "1 failed; 1 to do" in said) == (1, True)
    assert stamps(root)[good.name] == first

    line[2] = "optimizer.lr=1e-3,1e-4"
    status, said = again("metric=fast", "metric.rows=300")
    assert (status, "2: 1 stopped, 1 new; 2 to do" in said) == (0, True)
    assert stamps(root)[good.name] == first, "scored, not trained"
    assert read_scores(good)["eval/elbo"] < 0
    assert len(json.loads((root / "study.json").read_text())["jobs"]) == 3

    status, said = again("sweep.rerun=all")
    assert (status, "2 to do" in said) == (0, True)
    assert stamps(root)[good.name] > first
    assert not (good / "metrics.json").exists()


def test_a_killed_study_goes_on(in_tmp, monkeypatch, capsys):
    """The process dies in the middle of a job: what was finished stays, the rest is done, with the same result."""
    line = ["-m", "seed=0,1", *QUICK, "callbacks.checkpoints.batches=20", "max_batches=400", "sweep.name=mine"]
    process = start_train(*line, errors=Path("errors.txt"))
    root = Path("multirun/mine")
    deadline = time.monotonic() + 60
    while not any(root.glob("seed-1-*/checkpoints/last.ckpt")):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.join()
    finished, killed = (next(root.glob(f"seed-{seed}-*")) for seed in (0, 1))
    assert (read_state(finished), read_state(killed)) == ("finished", "stopped")
    before = stamps(root)[finished.name]
    assert run(vaezoo.train.main, monkeypatch, *line) == 0
    printed = capsys.readouterr().out
    assert "2: 1 finished, 1 stopped; 1 to do" in printed
    assert "2: 2 finished" in printed
    assert stamps(root)[finished.name] == before
    assert same_weights(killed, train_in("alone", "seed=1", "max_batches=400", *QUICK))


@pytest.mark.parametrize("place", [0, 9])
def test_the_flag_may_stand_anywhere(place, in_tmp, monkeypatch, capsys):
    line = ["seed=0,1", "sweep.dry=true", "sweep.name=mine", *QUICK]
    line.insert(place, "-m")
    assert run(vaezoo.train.main, monkeypatch, *line) == 0
    assert "jobs      2: 2 new; 2 to do\nnew       seed=0\nnew       seed=1" in capsys.readouterr().out


def test_a_job_leaves_nothing_in_memory_to_the_next(in_tmp, monkeypatch):
    """Not what goes round in circles, as a trainer and its model do, not what it held when it failed, and not the
    configuration of what it returned."""
    held: list[weakref.ref] = []
    configurations: list[weakref.ref] = []

    class Held:
        itself: Any

    def train(config: DictConfig) -> dict[str, float]:
        assert not [found for found in held if found() is not None]
        gc.collect()
        assert not [found for found in configurations if found() is not None]
        one = Held()
        one.itself = one
        held.append(weakref.ref(one))
        if config.seed == 0:
            raise ValueError("it failed")
        configurations.append(weakref.ref(config))
        return {}

    monkeypatch.setattr(vaezoo.train, "train", train)
    gc.disable()  # it might look by chance
    try:
        run(vaezoo.train.main, monkeypatch, "-m", *QUICK, "seed=0,1,2", "hydra.sweep.dir=study")
    finally:
        gc.enable()
    assert (len(held), len(configurations)) == (3, 2)


def test_a_sweep_needs_its_flag(in_tmp, monkeypatch, capsys):
    assert run(vaezoo.train.main, monkeypatch, "sweep=beta", "model=betavae", *QUICK) == 2
    assert "add -m" in capsys.readouterr().err
    assert not list(in_tmp.iterdir())


def test_a_value_that_a_preset_cannot_have_is_refused_before_anything_is_made(in_tmp, monkeypatch, capsys):
    assert run(vaezoo.train.main, monkeypatch, "-m", "sweep=beta", "model=vae", *QUICK) == 2
    assert "'model.beta' is not a key of this configuration" in capsys.readouterr().err
    grid = 'sweep.grids=[{seed: "0,-1"}]'
    assert run(vaezoo.train.main, monkeypatch, "-m", grid, *QUICK) == 2
    assert "seed=-1: must be a whole number" in capsys.readouterr().err
    assert not list(in_tmp.iterdir())
