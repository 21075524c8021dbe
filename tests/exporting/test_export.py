"""Encoders and decoders as ONNX, and the files of `python -m vaezoo.export`."""

import sys

import numpy as np
import pytest
import torch

import vaezoo.export
from tests.support.command_line import run, train_in
from tests.support.configuration import MODELS, SMALL, build_model
from vaezoo.config.command_line import check_command_line
from vaezoo.errors import UserError
from vaezoo.exporting.export_files import write_export
from vaezoo.exporting.onnx_networks import (
    Decoder,
    Encoder,
    compare,
    draw_inputs,
    explain_missing_decoder,
    export_decoder,
    export_encoder,
    run_onnx,
)

LINES = {"infogan": ["model.shared=false"], "infovae": ["likelihood=continuousbernoulli"]}


def build(name: str):
    return build_model(f"model={name}", *SMALL, *LINES.get(name, [])).eval()


@pytest.fixture
def onnx():
    for name in ("onnx", "onnxscript", "onnxruntime", "safetensors"):
        pytest.importorskip(name, reason="the extra onnx is not installed")


@pytest.mark.parametrize("name", MODELS)
def test_the_functions_that_are_exported(name):
    """They are those of a trained run, and the same inputs give the same outputs."""
    model = build(name)
    for_encoder, for_decoder = draw_inputs(model, 3)
    with torch.inference_mode():
        codes = Encoder(model)(**for_encoder)[0]
        assert torch.equal(codes, model(for_encoder["images"], for_encoder.get("labels")))
        if name == "pixelgan":
            assert "at random" in explain_missing_decoder(model)
            return
        assert explain_missing_decoder(model) is None
        (images,) = Decoder(model)(**for_decoder)
        assert torch.equal(images, Decoder(model)(**for_decoder)[0])
        assert images.shape == (3, 1, 8, 8)
        if "noise" not in for_decoder:
            z = model.latent.mode(for_decoder["codes"])
            assert torch.equal(images, model.reconstruct(z, for_decoder.get("labels")).mean)


def check_network(network, function, inputs):
    """Assert that a network computes what a function does, for one row and for seven."""
    for count in (1, 7):
        rows = {key: value[:count] for key, value in inputs.items()}
        with torch.inference_mode():
            expected = [output.numpy() for output in function(**rows)]
        outputs = run_onnx(network.content, {key: value.numpy() for key, value in rows.items()})
        assert len(outputs) == len(expected) == len(network.outputs)
        assert all(compare(*pair) < 1e-5 for pair in zip(outputs, expected, strict=True))


@pytest.mark.parametrize(
    "line",
    [["model=betavae", "network=convh", "dataset.shape=[3,16,16]"], ["model=infogan"]],
    ids=["convolutions", "noise"],
)
def test_a_decoder_as_onnx(onnx, line):
    model = build_model(*line[:1], *SMALL, *line[1:]).eval()
    check_network(export_decoder(model), Decoder(model), draw_inputs(model, 7)[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_model_as_onnx(onnx, name):
    model = build(name)
    for_encoder, for_decoder = draw_inputs(model, 7)
    check_network(export_encoder(model), Encoder(model), for_encoder)
    if name != "pixelgan":
        check_network(export_decoder(model), Decoder(model), for_decoder)


def test_a_decoder_that_cannot_be_exported_is_left_out_with_its_reason(onnx, tmp_path):
    lines = write_export(build("pixelgan"), "a title", tmp_path)
    assert any(line.startswith("no decoder: PixelGAN draws") for line in lines)
    assert not (tmp_path / "decoder.onnx").exists()
    with pytest.raises(UserError, match="PixelGAN draws"):
        export_decoder(build("pixelgan"))


def test_a_network_that_onnx_cannot_express_is_answered_in_a_line(onnx):
    class Sorted(torch.nn.Module):
        def forward(self, z):
            return torch.from_numpy(np.sort(z.detach().numpy())) @ torch.ones(z.shape[1], 64)

    model = build("vae")
    model.decoder = Sorted()
    with pytest.raises(UserError, match="The decoder of VAE cannot be written as ONNX: ") as error:
        export_decoder(model)
    assert "\n" not in str(error.value)


def test_values_that_are_not_finite_are_a_difference():
    assert not compare(np.array([np.nan]), np.array([1.0])) <= 1
    assert not compare(np.zeros((2, 1)), np.zeros(2)) <= 1


def test_the_command(in_tmp, monkeypatch, capsys, onnx):
    """It writes three files that hold the model, here a conditional one."""
    from safetensors.torch import load_file

    train_in("a", "model=cvae", "dataset=digits", "max_batches=2", "metric=none", "figure=none", "logger=csv")
    capsys.readouterr()
    assert run(vaezoo.export.main, monkeypatch, "run=a") == 0
    printed = capsys.readouterr().out
    assert "CVAE (beta 1) on digits" in printed
    assert "images (N, 1, 8, 8), labels (N,) -> codes (N, 10), logvars (N, 10)" in printed
    assert "codes (N, 10), labels (N,) -> images (N, 1, 8, 8)" in printed
    assert "opset 18" in printed
    assert " KB" in printed
    folder = in_tmp / "a" / "export"
    assert sorted(path.name for path in folder.iterdir()) == ["decoder.onnx", "encoder.onnx", "weights.safetensors"]
    model = vaezoo.load("a").model
    inputs = draw_inputs(model, 7)[0]
    content = (folder / "encoder.onnx").read_bytes()
    outputs = run_onnx(content, {key: value.numpy() for key, value in inputs.items()})
    with torch.inference_mode():
        assert compare(outputs[0], model(inputs["images"], inputs["labels"]).numpy()) < 1e-5
    weights = load_file(folder / "weights.safetensors")
    assert all(torch.equal(value, weights.pop(key)) for key, value in model.state_dict().items())
    assert not weights
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert run(vaezoo.export.main, monkeypatch, "run=a", "out=b") == 2
    assert capsys.readouterr().err == "vaezoo: onnxscript is missing. Install it with: pip install 'vaezoo[onnx]'\n"


@pytest.mark.parametrize("value", [[], ["run=null"]])
def test_a_run_is_needed(value):
    with pytest.raises(UserError, match="run=: must be the folder of a run"):
        check_command_line("export", value)
