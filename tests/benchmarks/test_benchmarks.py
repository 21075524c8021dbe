"""The arithmetic of the benchmarks, and that they compare the same things; nothing here is timed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch.utils.flop_counter import FlopCounterMode

from tests.support.paths import ROOT

HERE = ROOT / "benchmarks"
sys.path.append(str(HERE))

import floors  # noqa: E402
import interleaved  # noqa: E402
import packages  # noqa: E402
import plain  # noqa: E402
import rendering  # noqa: E402
import steps  # noqa: E402
import tables  # noqa: E402
import write  # noqa: E402
from training import by_hand, configuration, engines, weights, workplace  # noqa: E402

from vaezoo.data.sources.dsprites_render import render_block  # noqa: E402


def model_of(tmp_path, *line):
    with workplace() as (_, _):
        config = configuration([f"model={line[0]}", "dataset=dsprites", *line[1:]], tmp_path)
    torch.manual_seed(0)
    model = instantiate(config.model)
    model.train_images.fill_(1000)
    return config, model


def test_options_take_the_types_of_their_defaults():
    asked, others = interleaved.options(
        {"models": ("vae",), "seconds": 2.0}, ["rounds=3", "models=a,b", "model.beta=4", "seconds=1"]
    )
    assert (asked.rounds, asked.models, asked.seconds, others) == (3, ("a", "b"), 1.0, ["model.beta=4"])


def test_ways_take_turns_and_every_other_round_backwards():
    order = []
    ways = {name: lambda name=name: order.append(name) or float(len(order)) for name in "abc"}
    said = interleaved.take_turns(ways, 2)
    assert "".join(order) == "abccba"
    assert said == {"a": [1, 6], "b": [2, 5], "c": [3, 4]}


def test_ratios_are_of_the_same_round():
    assert interleaved.ratio([2, 40, 9], [1, 10, 3]) == (3, 2, 4)


def test_operations_of_layers_are_those_that_torch_counts(tmp_path):
    """CONV-H at 64x64, batch 64: 6.18 GFLOP a step."""
    _, model = model_of(tmp_path, "betavae")
    x = torch.rand(64, 1, 64, 64)
    counter = FlopCounterMode(display=False)
    with counter:
        model.objective(x)["loss"].backward()
    found = floors.costs(model, x)
    assert sum(cost.operations for cost in found) == counter.get_total_flops() == 6_176_964_608


def test_bytes_of_a_layer(tmp_path):
    """A dense layer from 3 to 5 with bias, on 2 images, behind another: three products, and seven passes of Adam."""

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 5)

        def encode(self, x):
            return self

        def decode(self, z):
            return self.second(self.first(torch.zeros(2, 3)))

        mean = None

    last = floors.costs(Two(), torch.zeros(2, 3))[-1]
    assert last.moved == 4 * (3 * (6 + 20 + 10) + 7 * 20)
    assert last.operations == 3 * 2 * 2 * 3 * 5


@pytest.mark.parametrize(
    ("name", "penalty"),
    [
        ("betavae", plain.betavae(beta=4)),
        ("dipvae", plain.dipvae(lambda_od=10)),
        ("betatcvae", plain.betatcvae(beta=6, images=1000)),
    ],
)
def test_the_loop_by_hand_minimises_the_same_loss(tmp_path, name, penalty):
    config, model = model_of(tmp_path, name)
    hand = plain.VAE(config.dataset.shape, config.latent.dim, penalty)
    plain.copy_weights(weights(model.encoder, model.decoder), hand.encoder, hand.decoder)
    x = torch.rand(8, 1, 64, 64)
    torch.manual_seed(1)
    own = model.objective(x)["loss"]
    torch.manual_seed(1)
    loss, *_ = hand(x)
    torch.testing.assert_close(loss, own)


def test_a_step_by_hand_moves_every_player(tmp_path):
    _, model = model_of(tmp_path, "factorvae")
    before = [parameter.clone() for parameter in model.parameters()]
    by_hand(model)(torch.rand(4, 1, 64, 64))
    assert all((old != new).any() for old, new in zip(before, model.parameters(), strict=True))


def test_the_plain_loop_draws_the_images_of_dsprites():
    for factors in ([0, 5, 39, 3, 31], [1, 0, 7, 31, 0], [2, 3, 20, 16, 9]):
        shape, scale, orientation, x, y = factors
        drawn = np.unpackbits(render_block(shape, scale, orientation)[32 * x + y]).reshape(64, 64)
        np.testing.assert_array_equal(rendering.one_image(np.array(factors)), drawn)


def test_an_engine_that_is_not_there_is_left_out_with_a_line(tmp_path, capsys):
    with workplace() as (_, interrupts):
        assert list(engines(["steam"], ["dataset=dsprites"], tmp_path, interrupts, None)) == []
    assert capsys.readouterr().out.startswith("steam: ")


def test_a_package_answers_from_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(packages, "HERE", tmp_path)
    with pytest.raises(packages.Missing, match="make bench-environments"):
        packages.Package("toy", 1)
    (tmp_path / "toy/bin").mkdir(parents=True)
    (tmp_path / "toy/bin/python").symlink_to(sys.executable)
    (tmp_path / "toy_worker.py").write_text(
        f"import sys; sys.path.append({str(HERE)!r})\n"
        "from worker import serve\n"
        "def prepare(case):\n"
        "    print('chatter')\n"
        "    return {'parameters': 3}, {'toy': lambda: case['steps'] / 2}\n"
        "serve(prepare)\n"
    )
    package = packages.Package("toy", 1)
    assert package.prepare({"steps": 7}) == {"parameters": 3, "ways": ["toy"]}
    assert package.train("toy") == 3.5
    with pytest.raises(packages.Missing, match="KeyError: 'other'"):
        package.train("other")
    package.close()


def test_what_trains_something_else_is_refused():
    own = {"parameters": 10, "rec": 3000.0, "kl": 200.0}
    steps.refuse_another("toy", {"parameters": 10, "rec": 3000.1}, own)
    with pytest.raises(packages.Missing, match="kl is 201"):
        steps.refuse_another("toy", {**own, "kl": 201.0}, own)


def result(device="one", **changed):
    made = {"device": device, "versions": {"torch": "2"}, "date": "2026-11-22", "command": "python benchmarks/steps.py"}
    case = {"model": "betavae", "batch_size": 64, "clock": "wall"}
    values = {"bare": [0.1, 0.2], "eager": [0.2, 0.2]}
    return {"benchmark": "steps", "case": case, "values": values, **made, **changed}


def test_the_page_keeps_its_text_and_shows_the_newest_of_each_device(tmp_path):
    file = tmp_path / "results.jsonl"
    newer = result(values={"bare": [0.3, 0.3], "eager": [0.1, 0.3]})
    file.write_text("".join(f"{json.dumps(line)}\n" for line in (result(), result("two"), newer)))
    page = "# Speed\n<!-- steps -->\nold\n<!-- /steps -->\nwords\n<!-- floors -->\n<!-- /floors -->\n"
    text = write.written(page, interleaved.read(file))
    assert "old" not in text
    assert text.startswith("# Speed\n")
    assert "words" in text
    assert "| betavae, 64  |   300.00 | 2.00 (1.00 to 3.00) |" in text
    assert "| betavae, 64  |   150.00 | 0.75 (0.50 to 1.00) |" in text
    assert "**two** (torch 2; 2026-11-22)" in text
    assert text.count("Not measured yet.") == 1
    assert write.written(text, interleaved.read(file)) == text


def test_ways_that_a_case_does_not_have_are_empty_cells():
    both = result(values={"bare": [1.0], "eager": [1.0], "pythae": [2.0]})
    lines = tables.steps([both, result(values={"bare": [1.0], "eager": [1.0]})])
    assert lines[-1].split("|")[-2].strip() == ""


def test_the_page_in_the_repository_has_a_table_for_every_mark():
    text = (HERE.parent / "docs" / "benchmarks.md").read_text()
    assert all(callable(getattr(tables, name)) for name in write.MARKS.findall(text))
    assert write.written(text, interleaved.read(HERE.parent / "docs" / "benchmarks.jsonl")) == text


@pytest.mark.slow
def test_steps_runs(tmp_path):
    line = ["models=betavae,vaegan", "batch_sizes=16", "rounds=1", "steps=2", "packages=", "compile=0", "engines=eager"]
    command = [sys.executable, HERE / "steps.py", *line, f"results={tmp_path / 'results.jsonl'}"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    found = interleaved.read(tmp_path / "results.jsonl")
    assert [one["case"]["model"] for one in found] == ["betavae", "vaegan"]
    assert all({"bare", "eager"} <= one["values"].keys() for one in found)
