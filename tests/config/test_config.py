"""The configuration: it composes for every choice, every value has a rule, and mistakes get a message that helps."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from tests.support.configuration import MODELS, check_line, compose_train
from vaezoo.config.command_keys import type_of_command_key
from vaezoo.config.command_line import check_command_line
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.names import make_folder_name, name_job
from vaezoo.config.overrides import flatten, leaves, parse_override, quote_paths
from vaezoo.config.values import check_config, signature_of_node
from vaezoo.errors import UserError

# Hydra takes a third of a second for a configuration, so each shows a file of several groups.
TOGETHER = [
    ("model", "figure", "trainer", "logger"),
    ("network", "optimizer", "likelihood", "extra"),
    ("dataset", "metric"),
    ("latent",),
    ("experiment",),
]


def list_choices(groups: Sequence[str]) -> list[list[str]]:
    """Return lines that together choose each file of these groups; a group of few files repeats them."""
    files = {group: sorted(path.stem for path in (Path(DIRECTORY) / group).glob("*.yaml")) for group in groups}
    count = max(map(len, files.values()))
    return [[f"{group}={names[row % len(names)]}" for group, names in files.items()] for row in range(count)]


@pytest.mark.parametrize("choices", [line for groups in TOGETHER for line in list_choices(groups)], ids=" ".join)
def test_every_file_composes_and_every_value_has_a_type(choices, tmp_path, monkeypatch):
    """A new hyper-parameter has a readable annotation where the constructor takes it."""
    choice = choices[0]
    extra = {
        "latent=point": ["model=ae"],
        "latent=codes": ["model=infogan"],
        "latent=clusters": ["model=aaecluster"],
        "latent=uniform": ["model=bigan"],
        "latent=category": ["model=pixelgan"],
        "latent=categorynoise": ["model=catgan"],
        "latent=mixed": ["model=vae"],
        "latent=classes": ["model=vae", "dataset=digits"],
        "dataset=arrays": [f"dataset.path={tmp_path}"],
        "model=cvae": ["dataset=digits"],
        "model=mivae": ["dataset=digits"],
    }.get(choice, [])
    Image.new("L", (8, 8)).save(tmp_path / "picture.png")
    # Most of a configuration is that of scores and figures, which are left out if they are not what is chosen.
    chosen = {line.partition("=")[0] for line in choices}
    others = [f"{group}=none" for group in ("metric", "figure") if not chosen & {group, "experiment"}]
    config = compose_train(*choices, *extra, *others)
    if config.network.image_side and choice.startswith("network="):
        config.dataset.shape = [1, config.network.image_side, config.network.image_side]
    monkeypatch.setattr("vaezoo.config.requirements.is_installed", lambda package: True)
    check_config(config)
    group, _, name = choice.partition("=")
    if group == "figure" and name not in ("default", "full", "none"):
        assert list(config.figure.figures) == [name]
    parts = OmegaConf.to_container(config, resolve=False)
    assert [key for key, written in leaves(parts) if not has_type(parts, key) and not is_part(written)] == []


def has_type(parts: dict[str, Any], key: str) -> bool:
    """Return whether a key of the commands or a parameter of the class says what the value may be.

    A key inside a value that is a dictionary, such as dataset.correlate.sigma, has the type of that value.
    """
    if key.startswith("dataset.correlate."):
        key = "dataset.correlate"
    *parents, name = key.split(".")
    node = parts
    for parent in parents:
        node = node[parent]
    parameter = signature_of_node(node).parameters.get(name)
    return type_of_command_key(key) is not None or (parameter is not None and parameter.type is not Any)


def is_part(written: Any) -> bool:
    """Return whether a value is an object that another group builds, such as ${network.encoder}."""
    return str(written).startswith(("${network.", "${latent}", "${likelihood}", "${optimizer}"))


def test_every_file_begins_with_what_it_is():
    assert [path for path in Path(DIRECTORY).rglob("*.yaml") if not path.read_text().startswith("# ")] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("experiment=kumar_tradeoff/smal", r"there is no such experiment. Did you mean 'kumar_tradeoff/small'\?"),
        ("experiment=kumar_tradeoff", r"Known: kumar_tradeoff/paper, kumar_tradeoff/small, kumar_tradeoff/smoke"),
        ("experiment=kumar/small", r"Known: .*betatcvae, .*kumar_tradeoff/small"),
        ("metric=score/mig_hits", r"Did you mean 'score/mig_hist'\?"),
        ("model=dipva", r"model=dipva: there is no such model. Did you mean 'dipvae'\? Known: .*ae, .*dipvae"),
        ("model=[vae,dipvae]", r"one model is chosen for a run. A study of several: -m model=vae,dipvae"),
        ("logger={a:1}", r"Could not override 'logger'. An option is chosen by its name, such as logger=NAME"),
        ("model=1", r"model=1: there is no such model. Known: aae, "),
        ("latent=true", "latent=true: there is no such latent. Known: "),
        ("logger=null", "logger=null: there is no such logger. logger=none leaves it out. Known: csv, "),
        ("-m model=vae,null", "model=null: there is no such model. Known: aae, "),
        ("metric=[fast,null]", "there is no such metric. metric=none leaves it out. Known: fast, "),
        ("hydra/launcher=null", "hydra/launcher=null: there is no such hydra/launcher.$"),
        ("~lr_schedule", "~lr_schedule: it cannot be left out. Choose another one: lr_schedule=NAME."),
        ("dataset=dsprite", r"dataset=dsprite: there is no such dataset. Did you mean 'dsprites'\?"),
        ("dataset=base", r"dataset=base: there is no such dataset.* Known: arrays, .*, smallnorb\.$"),
        ("datset=digits", r"'datset' is not a key of this configuration. Did you mean 'dataset'\?"),
        ("model=betavae model.bta=3", r"'model.bta' is not a key of this configuration. Did you mean 'model.beta'\?"),
        ("model=betavae model.beta=-1", "model.beta=-1: must be a number of at least 0"),
        ("model=betavae model.beta=high", "model.beta=high: must be a number of at least 0"),
        ("-m model=betavae model.beta=1,4,-16", "model.beta=-16: must be a number of at least 0"),
        ("-m model=vae,dipva", "model=dipva: there is no such model"),
        ("-m seed=0,one", "seed=one: must be a whole number from 0 to 4294967295"),
        ("seed=4294967296", "seed=4294967296: must be a whole number from 0 to 4294967295"),
        ("optimizer.betas=[2,2]", r"optimizer.betas=\[2, 2\]: must be two numbers from 0 to below 1"),
        ("model=dipvae model.kind=iii", "model.kind=iii: must be one of i, ii"),
        ("model=dipvae model.cov=runing", r"must be one of minibatch, running. Did you mean 'running'\?"),
        ("model=dipvae model.decay=1", "model.decay=1: must be a number of at least 0 and below 1"),
        ("model=dipvae model.lambda_d=-1", "must be a number of at least 0, or null"),
        ("latent.dim=0", "latent.dim=0: must be a whole number of at least 1"),
        ("latent.dim=2.5", "latent.dim=2.5: must be a whole number of at least 1"),
        ("optimizer.lr=0", "optimizer.lr=0: must be a number above 0"),
        ("dataset.batch_size=0", "dataset.batch_size=0: must be a whole number of at least 1"),
        ("dataset.split=random80", "must be one of random90, all, official"),
        ("dataset.residence=gpu", "must be one of auto, device, host"),
        ("dataset.path=/no/such/file.npz", "dataset.path=/no/such/file.npz: must be a file or folder that exists"),
        ("dataset=digits dataset.size=10", "dataset.size=10: must be one of 8, 16, 32, 64"),
        ("max_batches=1e3", "max_batches=1000.0: must be a whole number of at least 1"),
        ("+model.foo=1", "'model.foo' is not a key of this configuration"),
        ("+sed=1", r"'sed' is not a key of this configuration. Did you mean 'seed'\?"),
        ("dataset=digits network=convh", "image sides divisible by 16, but dataset=digits has 8x8"),
        ("network=conv000", "takes 28x28 images alone, but dataset=dsprites has 64x64.*any size: network=mlpk"),
        ("dataset=digits dataset.size=32 network=conv001", "takes 64x64 images alone, but dataset=digits has 32x32"),
        ("model=cvae dataset=dsprites", "given the class of each image, but dataset=dsprites has no labels"),
        (
            "model=guidedvae latent.dim=2",
            "latent.dim=2: GuidedVAE needs at least 3 latents, for scale",
        ),
        (
            "model=vae latent=point",
            r"these latents \(Point\). Points have no density and no KL. It takes latent=classes, latent=gaussian",
        ),
        ("model=dipvae dataset.batch_size=1", "needs at least 2 images in a batch"),
        ("network=conv001 dataset.batch_size=1", "at least 2 images in a batch for its batch normalisation"),
        ("trainer.precision=bf16-true", r"must be one of 32-true, 64-true, bf16-mixed, 16-mixed"),
        ("trainer.devices=2", "trainer.devices=2: this trainer uses one device; several: trainer=ddp"),
        (
            "model=bigan optimizer=adagrad",
            "critic.betas: the common optimizer, torch.optim.Adagrad, has no betas",
        ),
        ("model=bigan model.optimizers.critic=null", r"must be what differs from the common optimizer, such as \{lr"),
        ("network.encoder.hidden=[0]", "must be a list of whole numbers of at least 1"),
        ("network=bigan network.critic.normed=[0]", r"of at least 1, such as \[2, 3\], or \[\] for none"),
    ],
)
def test_mistakes_are_refused_with_a_message_that_helps(line, message):
    with pytest.raises(UserError, match=message):
        check_line(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--cfg job",
        "model=dipvae dataset=dsprites model.kind=ii model.lambda_d=null",
        "model=ali network=bigan network.critic.normed=[]",
        "model=mivae dataset=digits optimizer=adagrad",
        "model=vaegan dataset=digits network=vaeganmlp optimizer=adagrad",
        "-m model=betavae model.beta=1,4,16 dataset=digits seed=range(3)",
        "trainer.precision=bf16-mixed +trainer.limit_val_batches=3",
        "dataset=digits dataset.size=64 network=convh",
        "hydra.run.dir=somewhere +optimizer.amsgrad=true",
        "model=ae latent.dim=3",
        "-m latent.dim=2,3,200 model=vae,dipvae",
    ],
)
def test_good_command_lines_pass(line):
    check_line(line.split())


def test_the_data_set_chooses_what_fits_it_and_the_command_line_wins():
    assert compose_train("dataset=digits").network.encoder["_target_"].endswith("MLPEncoder")
    assert compose_train("dataset=dsprites").network.encoder["_target_"].endswith("ConvEncoder")
    assert compose_train("dataset=dsprites", "network=mlph").network.encoder["_target_"].endswith("MLPEncoder")
    assert compose_train("dataset=digits").max_batches == 2000
    assert compose_train("dataset=digits", "max_batches=7").max_batches == 7
    assert compose_train("model=ae").likelihood["_target_"].endswith("Gaussian")
    assert compose_train("model=ae", "likelihood=bernoulli").likelihood["_target_"].endswith("Bernoulli")


def test_weights_that_lose_the_small_digits_are_smaller_there():
    assert compose_train("model=betavae", "dataset=digits").model.beta == 2
    assert compose_train("model=betavae", "dataset=digits", "model.beta=3.5").model.beta == 3.5
    assert compose_train("model=betavae", "dataset=dsprites").model.beta == 4
    assert compose_train("model=factorvae", "dataset=digits").model.gamma == 6.4
    assert compose_train("model=factorvae", "dataset=dsprites").model.gamma == 35
    for name, capacity, published in [("annealedvae", "capacity", 25), ("jointvae", "capacity_z", 40)]:
        assert compose_train(f"model={name}", "dataset=digits").model[capacity].end == 6
        assert compose_train(f"model={name}", "dataset=dsprites").model[capacity].end == published


def test_folder_names_can_be_given_back_on_the_command_line():
    name = make_folder_name("model=betavae,model.beta=1.5,network.encoder.hidden=[3,4]")
    assert name == "model-betavae_model.beta-1.5_network.encoder.hidden-_3_4"
    assert not set("=,[]") & set(name)
    assert len(make_folder_name("a=1," * 200)) < 200
    assert make_folder_name("a=1," * 200 + "b=2") != make_folder_name("a=1," * 200 + "b=3")
    assert make_folder_name("") == "defaults"


def test_a_job_that_differs_in_nothing_has_a_name_for_loggers():
    assert name_job(["seed=0", "model=vae"], ["seed"]) == "seed=0"
    assert name_job(["seed=0", "model=vae"], []) == "defaults"


def test_flattened_keys_are_those_of_the_command_line():
    config = compose_train("model=betavae", "logger=csv", "folder=x", "model.beta=7")
    assert flatten(config)["model.beta"] == 7
    assert flatten(config)["model.latent.dim"] == flatten(config)["latent.dim"] == 10


def test_answers_come_without_torch(tmp_path):
    program = (
        "import sys\n"
        "from vaezoo.train import main\n"
        "for line in ['model=dipva', 'latent.dim=0', '--cfg job']:\n"
        "    sys.argv[1:] = line.split()\n"
        "    try: main()\n"
        "    except SystemExit as end: print('status', end.code)\n"
        "print('torch', 'torch' in sys.modules, 'lightning', 'pytorch_lightning' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "torch False lightning False" in process.stdout, process.stdout + process.stderr
    assert process.stdout.count("status 2") == 2
    assert "\nmax_batches: 300000\n" in process.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["evaluate", "report", "dashboard"])
def test_help_needs_no_values(name, capsys):
    with pytest.raises(UserError, match="must be"):
        check_command_line(name, [])
    with pytest.raises(SystemExit) as end:
        check_command_line(name, ["--help"])
    assert not end.value.code
    assert f"python -m vaezoo.{name}" in capsys.readouterr().out
    assert check_command_line(name, ["--hydra-help"]) is None


# What Windows lacks is taken away once the libraries are there, which know the systems that they run on.
WINDOWS = """
import os, signal, sys
import h5py, joblib, matplotlib.figure, pytorch_lightning, sklearn, torch
sys.modules.update(dict.fromkeys(["fcntl", "grp", "pwd", "resource", "termios"]))
for module, names in (
    (os, ("getuid", "sched_getaffinity", "sysconf", "fork", "killpg", "setsid")),
    (signal, ("SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGPIPE")),
):
    for name in names:
        vars(module).pop(name, None)
from vaezoo.train import main
main()
"""


def test_a_run_needs_nothing_that_only_unix_has(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(60):
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / f"{number}.png")
    line = ["dataset=arrays", f"dataset.path={tmp_path}", "dataset.batch_size=8", "dataset.val_images=8", "metric=none"]
    line += ["max_batches=2", "figure=none", "logger=csv", "trainer=cpu", f"hydra.run.dir={tmp_path / 'run'}"]
    environment = {**os.environ, "VAEZOO_DATA": str(tmp_path / "data")}
    done = subprocess.run([sys.executable, "-c", WINDOWS, *line], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "done.json").is_file()


def test_all_models_are_known():
    assert {"ae", "vae", "betavae", "dipvae"} <= set(MODELS)


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir", "sweep.name", "dataset.path"])
@pytest.mark.parametrize("path", ["a=b", "ünï β", "it's (x) {y}", "$HOME %s;&|", "x" * 200])
def test_places_of_training_need_no_quotes(key, path):
    (line,) = quote_paths([f"{key}={path}"])
    assert str(parse_override(line).value()) == path
    assert quote_paths([line]) == [line]
    readable = [f"{key}=a,b", f"{key}=runs/${{seed}}", f"{key}=null"]
    assert quote_paths(readable) == readable, "sweeps, references and values stay what they are"


@pytest.mark.parametrize(
    "path", ["plain/run-1", "my runs/beta=4,seed=1", "it's", "ünï", "a\\b", "(x) {y} #1", "~/run", "5%"]
)
def test_paths_need_no_quotes_and_may_have_them(path):
    (line,) = quote_paths([f"run={path}"])
    assert str(parse_override(line).value()) == path
    assert quote_paths([line]) == [line]
    assert quote_paths(["runs=[a,b]", "runs=${x}", "metric=a b", "-m"]) == [
        "runs=[a,b]",
        "runs=${x}",
        "metric=a b",
        "-m",
    ]
