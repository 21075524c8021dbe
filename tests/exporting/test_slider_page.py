"""The page of sliders: what it shows in a browser is what PyTorch decodes, and nothing leaves it."""

import base64
import io
import json
import sys
from contextlib import contextmanager
from html import unescape
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import vaezoo.explore
from tests.support.browser import open_browser, open_page
from tests.support.command_line import run, train_in
from tests.support.configuration import MODELS, SMALL, build_model
from vaezoo.errors import UserError
from vaezoo.evaluation.table import evaluating
from vaezoo.exporting.slider_page import Explored, choose_range, describe_rows, match_models, write_page

RUN = ["model=betavae", "dataset=rotateddigits", "model.beta=1", "max_batches=30", "metric=none", "figure=none"]
READY = "#main[aria-busy=false]"  # The page forbids scripts, and with them page.wait_for_function.
MOVE = """(slider, value) => { slider.value = value; slider.dispatchEvent(new Event("input", { bubbles: true })); }"""


@pytest.fixture
def onnx():
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="the extra onnx is not installed")


def build(name, *line):
    return build_model(f"model={name}", *SMALL, *line).eval()


def fake_table(codes, index=None, **others):
    """Return what the page reads of a table of codes."""
    values = {
        "index": np.arange(len(codes)) if index is None else index,
        "codes": np.asarray(codes, np.float32),
        "logvars": np.empty((len(codes), 0)),
        "kl_per_dim": np.empty(0),
        "label_names": np.empty(0),
        "labels": np.empty(0),
        "examples": np.empty(0, int),
    }
    return SimpleNamespace(**values | others)


def read_pixels(page, place=0):
    """Return the bytes (H, W, 3) of a decoded image on the page."""
    page.locator(READY).wait_for(timeout=60_000)
    address = page.locator(".picture").nth(place).evaluate("(canvas) => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB"))


def decode(model, content):
    """Return the bytes (H, W, 3) of the image that a model makes of what the page says about its code."""
    code = torch.tensor(content["codes"], dtype=torch.float32)
    noise = [torch.tensor(content["noise"], dtype=torch.float32)] if "noise" in content else []
    labels = torch.tensor(content["labels"]) if "labels" in content else None
    with evaluating(model):
        image = model.reconstruct(model.latent.mode(code, *noise), labels).mean[0]
    shades = np.rint(image.clamp(0, 1).numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    return np.broadcast_to(shades, (*shades.shape[:2], 3))


def check_sliders(page, models):
    """Move every slider to a random position, and compare the images of the page with those of PyTorch."""
    rng = np.random.default_rng(0)
    page.locator(READY).wait_for(timeout=60_000)
    for details in page.locator("details:has(input)").all():
        details.evaluate("(details) => { details.open = true; }")
    sliders = page.locator("[data-row]")
    assert sliders.count() > 0
    for place in range(sliders.count()):
        slider = sliders.nth(place)
        low, high = (float(slider.get_attribute(end)) for end in ("min", "max"))
        before = json.loads(page.locator("#code").input_value())
        slider.evaluate(MOVE, rng.uniform(low, high))
        content = json.loads(page.locator("#code").input_value())
        assert content != before
        for number, model in enumerate(models):
            shown = read_pixels(page, number)
            expected = decode(model, content[number] if len(models) > 1 else content)
            assert np.abs(shown.astype(int) - expected).max() <= 1, f"slider {place} of model {number}"


@contextmanager
def opened(html, folder, **options):
    """Yield the page in a browser; in the end it has written no message and asked nobody for anything."""
    (folder / "explore.html").write_text(html, encoding="utf-8")
    with open_browser() as chrome:
        page, troubles = open_page(chrome, folder / "explore.html", **options)
        yield page
        assert page.locator("#alert").inner_text() == ""
        assert troubles == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run with codes and pictures."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        train_in(folder, *RUN, "metric=score/mig_hist", "metric.rows=300", "logger=csv", "callbacks.progress=false")
    return folder


def test_the_page_of_a_run(trained, onnx, monkeypatch, capsys, tmp_path):
    from vaezoo import load

    monkeypatch.setattr(sys, "argv", ["vaezoo.explore", f"run={trained}"])
    vaezoo.explore.main()
    assert "explore.html" in capsys.readouterr().out
    opened_run = load(trained, device="cpu")
    with open_browser() as chrome:
        page, troubles = open_page(chrome, trained / "explore.html")
        check_sliders(page, [opened_run.model])

        # A test image is encoded as the run encodes it.
        page.locator("#examples button").nth(3).click()
        page.get_by_text("Test image 4 is encoded").wait_for()
        page.locator(READY).wait_for(timeout=60_000)
        table = opened_run.latents
        places = np.linspace(0, len(table.examples) - 1, min(48, len(table.examples)), dtype=int)
        codes = opened_run.encode(table.example_images[places[3]][None])
        content = json.loads(page.locator("#code").input_value())
        np.testing.assert_allclose(content["codes"], codes, atol=1e-4)

        # So is a picture of one's own, and the two ends of an interpolation are kept.
        page.locator("#take-a").click()
        shades = np.rint(table.example_images[places[5], 0] * 255).astype(np.uint8)
        Image.fromarray(shades).save(tmp_path / "own.png")
        page.locator("#file").set_input_files(tmp_path / "own.png")
        page.get_by_text("own.png is encoded").wait_for()
        page.locator(READY).wait_for(timeout=60_000)
        own = json.loads(page.locator("#code").input_value())
        np.testing.assert_allclose(own["codes"], opened_run.encode(shades[None, None] / np.float32(255)), atol=1e-4)
        page.locator("#take-b").click()
        page.locator("#mix").evaluate(MOVE, 0.5)
        middle = json.loads(page.locator("#code").input_value())["codes"]
        np.testing.assert_allclose(middle, (np.add(content["codes"], own["codes"])) / 2, atol=1e-4)

        # The keyboard moves a slider by its step, and the narrow page does not scroll sideways.
        slider = page.locator("[data-row]").first
        slider.focus()
        before = float(slider.input_value())
        page.keyboard.press("ArrowRight")
        assert float(slider.input_value()) == pytest.approx(before + float(slider.get_attribute("step")), abs=1e-6)
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        with page.expect_download() as download:
            page.locator("#save").click()
        assert Image.open(download.value.path()).size == (16, 16)
        assert page.locator("#alert").inner_text() == ""
        assert troubles == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(MODELS) - {"pixelgan", "catgan"}))
def test_every_slider_of_every_model(name, onnx, tmp_path):
    torch.manual_seed(0)
    model = build(name)
    with opened(write_page([Explored(model, name, None)]), tmp_path) as page:
        check_sliders(page, [model])


@pytest.mark.slow
def test_models_side_by_side(onnx, tmp_path):
    torch.manual_seed(0)
    models = [build(name) for name in ("vae", "jointvae", "cvae")]
    with opened(write_page([Explored(model, f"model {i}", None) for i, model in enumerate(models)]), tmp_path) as page:
        check_sliders(page, models)


@pytest.mark.parametrize(("name", "reason"), [("pixelgan", "at random"), ("catgan", "do not determine an image")])
def test_models_without_a_page(name, reason):
    with pytest.raises(UserError, match=reason):
        write_page([Explored(build(name), name, None)])


def test_texts_of_a_run_are_escaped(onnx, monkeypatch):
    hostile = "</script><script>alert(1)</script>"
    for name in ("encoder", "decoder"):
        network = SimpleNamespace(content=name.encode())
        monkeypatch.setattr(f"vaezoo.exporting.slider_page.export_{name}", lambda model, network=network: network)
    table = fake_table(np.zeros((3, 10)), label_names=np.array([hostile] * 10))
    html = write_page([Explored(build("vae"), hostile, table)])
    assert "<script>alert" not in html
    assert "default-src 'none'" in unescape(html)


def test_latents_are_matched_by_their_codes_over_the_same_images():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 10))
    other = rng.normal(size=(150, 10))
    other[:, 4], other[:, 7] = codes[50:, 0], -codes[50:, 2] + 0.1 * other[:, 7]
    first = Explored(build("vae"), "a", fake_table(codes), "the same")
    second = Explored(build("vae"), "b", fake_table(other, np.arange(50, 200)), "the same")
    matches = match_models(first, second)
    assert {i: (match.place, match.is_reversed) for i, match in matches.items()} == {0: (4, False), 2: (7, True)}
    assert match_models(first, Explored(second.model, "b", second.table, "others")) == {}
    rows = list(describe_rows([first, second]))
    assert rows[0]["places"] == [{"latent": 0, "sign": 1}, {"latent": 4, "sign": 1}]
    assert rows[2]["places"] == [{"latent": 2, "sign": 1}, {"latent": 7, "sign": -1}]
    assert rows[1]["places"] == [{"latent": 1, "sign": 1}, None]
    assert [row["name"] for row in rows[10:]] == [f"{i}-2" for i in (0, 1, 2, 3, 5, 6, 8, 9)]
    assert [row["place"] for row in rows] == list(range(18))


def test_a_slider_covers_the_prior_and_the_codes():
    codes = np.linspace(-5, 2, 1000)[:, None].repeat(10, axis=1)
    low, high = choose_range(Explored(build("vae"), "a", fake_table(codes)), 0)
    assert low == pytest.approx(-4.965, abs=0.01)
    assert high == 3.0
    low, high = choose_range(Explored(build("ae"), "a", fake_table(codes)), 0)
    assert (low, high) == pytest.approx((-4.965, 1.965), abs=0.01), "an autoencoder has no prior"
    assert choose_range(Explored(build("vae"), "a", None), 0) == (-3.0, 3.0)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ([], "Name one run with run=, or several with runs="),
        (["runs=[]"], "runs=[]: must be a file or folder that exists"),
        (["run=first", "out=page.png"], "out=page.png: must be the file of a page"),
    ],
)
def test_slips(line, answer, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained.parent)
    assert run(vaezoo.explore.main, monkeypatch, *line) == 2
    assert answer in capsys.readouterr().err
