"""Figures show what they are given: exact pixels, legible labels, the same bytes for the same data."""

import inspect
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tests.support.configuration import compose_train
from tests.support.drawings import TITLE, assert_text_keeps_apart, drawn_texts, noise, places, saved, words
from tests.support.paths import ROOT
from vaezoo.errors import UserError
from vaezoo.figures import style
from vaezoo.figures.animation import animation
from vaezoo.figures.attributes import attributes
from vaezoo.figures.category_traversals import category_traversals
from vaezoo.figures.class_traversals import class_traversals
from vaezoo.figures.code_correlation import code_correlation
from vaezoo.figures.curves import curves, needs_log_scale
from vaezoo.figures.factor_correlation import factor_correlation
from vaezoo.figures.kl_per_dim import kl_per_dim
from vaezoo.figures.mutual_information import mutual_information
from vaezoo.figures.reconstructions import reconstructions
from vaezoo.figures.samples import samples
from vaezoo.figures.swap import swap
from vaezoo.figures.traversal_values import PRESETS, traversal_values
from vaezoo.figures.traversals import traversals
from vaezoo.figures.tsne import tsne

BARS = {to_rgb(style.FIRST), to_rgb(style.THIRD)}
CONF = ROOT / "conf" / "figure"
# (C, H, W): the bundled digits, odd and not square, colour, wide.
SHAPES = [(1, 8, 8), (1, 31, 17), (3, 28, 28), (3, 13, 90)]


def grid(rows: int, columns: int, shape: tuple[int, int, int], kl: np.ndarray | None = None) -> Figure:
    images = noise(rows, columns, *shape)
    values = np.linspace(-3, 3, columns)
    return traversals(images, values, range(rows), images[0, 0], images[-1, -1], TITLE, kl)


def correlations(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (rows, columns))


def plane(count: int, panels: list[tuple[int, str]], names: Sequence[str]) -> Figure:
    rng = np.random.default_rng(count)
    levels = np.stack([rng.integers(size, size=count) for size, _ in panels], axis=1)
    # Groups that lie on one another are the hard case for their names.
    return tsne(rng.normal(size=(count, 2)), levels, [name for _, name in panels], TITLE, names, 30.0, 0.987)


def history(points: int = 40) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    batches = np.arange(1, points + 1) * 50
    falling = 2800 * np.exp(-batches / 60) + 120
    return {
        "train/loss": (batches, falling),
        "val/loss": (batches[3::4], falling[3::4] + 5),
        "train/kl": (batches, 20 - 20 * np.exp(-batches / 300)),
        "val/kl": (batches[3::4], 21 - 20 * np.exp(-batches[3::4] / 300)),
        "train/off_diagonal": (batches, -0.001234 * batches),
        "train/total_correlation_of_the_codes": (batches, batches * 1e-4),
        "perf/images_per_second": (batches, batches),
    }


FACTORS = ("shape", "scale", "orientation", "position_x", "A rather long attribute")
FIGURES = {
    **{
        f"reconstructions {n} of {shape}": lambda n=n, shape=shape: reconstructions(
            noise(n, *shape), noise(n, *shape) ** 2, TITLE
        )
        for n, shape in zip((40, 16, 11, 1), SHAPES, strict=True)
    },
    **{
        f"samples {n} of {shape}": lambda n=n, shape=shape: samples(noise(n, *shape), TITLE)
        for n, shape in zip((64, 61, 3, 100), SHAPES, strict=True)
    },
    **{
        f"traversals {rows} x {columns} of {shape}": lambda r=rows, c=columns, shape=shape: grid(
            r, c, shape, np.linspace(9, 0, r)
        )
        for (rows, columns), shape in zip(((10, 11), (2, 10), (32, 6), (3, 2)), SHAPES, strict=True)
    },
    "traversals 100": lambda: grid(100, 3, (1, 8, 8)),
    "traversals by quantile": lambda: traversals(
        noise(4, 10, 1, 8, 8), correlations(4, 10) * 123, [3, 0, 12, 7], noise(1, 8, 8), noise(1, 8, 8), TITLE
    ),
    "curves": lambda: curves(history(), TITLE),
    "curves of one point": lambda: curves(history(1), TITLE),
    "curves of nothing": lambda: curves({}, TITLE),
    **{f"kl {d}": lambda d=d: kl_per_dim(np.linspace(0, 4, d) ** 3, TITLE) for d in (1, 2, 10, 17, 32, 200)},
    "kl collapsed": lambda: kl_per_dim(np.full(10, 1e-4), TITLE),
    **{
        f"factors {k} x {d}": lambda k=k, d=d: factor_correlation(correlations(k, d), (FACTORS * 8)[:k], TITLE)
        for k, d in ((1, 1), (5, 2), (5, 10), (5, 32), (40, 200))
    },
    **{f"codes {d}": lambda d=d: code_correlation(correlations(d, d), TITLE) for d in (1, 2, 10, 16, 17, 60)},
    **{
        f"information {k} x {d}": lambda k=k, d=d: mutual_information(
            np.abs(correlations(k, d)), np.ones(k), (FACTORS * 8)[:k], TITLE
        )
        for k, d in ((1, 1), (5, 2), (5, 10), (5, 32), (40, 200))
    },
    **{
        f"swap {r} x {c} of {shape}": lambda r=r, c=c, shape=shape: swap(
            noise(r, c, *shape), noise(r, *shape), noise(c, *shape), TITLE
        )
        for (r, c), shape in zip(((8, 10), (1, 1), (8, 3), (2, 40)), SHAPES, strict=True)
    },
    **{
        f"classes {n} x {r} x {c} of {shape}": lambda n=n, r=r, c=c, shape=shape: class_traversals(
            noise(n, r, c, *shape), np.linspace(-5, 5, c), range(n), (FACTORS * 8)[:r], noise(r, *shape), TITLE
        )
        for (n, r, c), shape in zip(((3, 10, 11), (1, 1, 2), (3, 5, 6), (2, 3, 10)), SHAPES, strict=True)
    },
    "categories": lambda: category_traversals(
        noise(2, 10, 10, 1, 8, 8), correlations(2, 10) * 12, [7, 31], [str(i) for i in range(10)], TITLE
    ),
    **{
        f"frame of {n} of {shape}": lambda n=n, shape=shape: animation(
            noise(n, 2, *shape), correlations(n, 2) * 12, range(n), TITLE
        )[0]
        for n, shape in zip((12, 1, 7, 4), SHAPES, strict=True)
    },
    **{
        f"plane {n} of {[levels for levels, _ in panels]}": lambda n=n, panels=panels, names=names: plane(
            n, panels, names
        )
        for n, panels, names in (
            (3000, [(10, "class")], ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", *"56789")),
            (400, [(20, "class")], ["all in one place"] * 20),
            (5, [(40, "class")], ()),
            (500, [(3, "shape"), (6, "scale"), (40, "orientation"), (32, "posX"), (32, "posY")], ()),
            (1, [(1, "class")], ("one",)),
        )
    },
    **{
        f"attributes {k}": lambda k=k: attributes((FACTORS * 8)[:k], *np.abs(correlations(3, k)) ** 0.3, TITLE)
        for k in (1, 5, 40)
    },
    "long names": lambda: code_correlation(correlations(3, 3), "model=dipvae,model.lambda_od=10,$seed$=0,_" * 9),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_text_keeps_apart_and_on_the_page(name: str) -> None:
    assert_text_keeps_apart(FIGURES[name]())


def test_the_overlap_test_can_fail() -> None:
    sheet = style.new_page(300, 100, "Heading", TITLE)
    sheet.add_text(0, 50, "one")
    sheet.add_text(10, 52, "another")
    FIGURES["deliberately bad"] = lambda: sheet.figure
    try:
        with pytest.raises(AssertionError, match="another"):
            test_text_keeps_apart_and_on_the_page("deliberately bad")
    finally:
        del FIGURES["deliberately bad"]


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_are_unaltered_in_the_file(shape: tuple[int, int, int], tmp_path: Path) -> None:
    originals, reconstructed = noise(11, *shape), noise(11, *shape)[::-1] ** 2
    page = saved(reconstructions(originals, reconstructed, TITLE), tmp_path / "a.png")
    for i in range(11):
        (above,), (below,) = places(page, originals[i]), places(page, reconstructed[i])
        assert above[0] < below[0]
        assert above[1] == below[1]
    drawn = noise(10, *shape)
    page = saved(samples(drawn, TITLE), tmp_path / "b.png")
    spots = [places(page, image) for image in drawn]
    assert all(len(spot) == 1 for spot in spots)
    assert spots == sorted(spots), "row by row, left to right"


def test_a_checkerboard_stays_two_colours(tmp_path: Path) -> None:
    board = np.indices((6, 6)).sum(0) % 2
    image = np.stack([0.2 + 0.6 * board, 0.1 + 0 * board, 1 - board]).astype(np.float32)
    page = saved(samples(image[None], TITLE), tmp_path / "board.png")
    ((y, x),) = places(page, image)
    side = next(n for n in range(1, 200) if (page[y, x + n] != page[y, x]).any())
    assert side > 10, "enlarged"
    area = page[y : y + 6 * side, x : x + 6 * side].reshape(-1, 3)
    assert {tuple(map(int, colour)) for colour in np.unique(area, axis=0)} == {(51, 26, 255), (204, 26, 0)}


def test_traversal_keeps_the_order_given(tmp_path: Path) -> None:
    images = noise(4, 5, 1, 12, 12)
    dims, kl = [7, 2, 9, 0], [0.5, 4.214, 0.0096, 1.0]
    original, reconstruction = noise(1, 12, 12) ** 2, noise(1, 12, 12) ** 3
    figure = traversals(images, np.arange(5) - 2.0, dims, original, reconstruction, TITLE, kl)
    page = saved(figure, tmp_path / "traversal.png")
    spots = np.array([[places(page, image)[0] for image in row] for row in images])
    assert (np.diff(spots[:, :, 0], axis=0) > 0).all(), "rows downwards"
    assert (np.diff(spots[:, :, 1], axis=1) > 0).all(), "values to the right"
    assert np.ptp(spots[:, :, 0], axis=1).max() == 0
    for image in (original, reconstruction):
        ((_, x),) = places(page, image)
        assert x < spots[:, :, 1].min(), "in front"

    labels = ["z7  0.50 nats", "z2  4.21 nats", "inactive  z9  0.010 nats", "z0  1.00 nats"]
    by_text = {text.get_text(): text for text in drawn_texts(figure)}
    heights = [by_text[label].get_window_extent().y0 for label in labels]
    assert heights == sorted(heights, reverse=True)
    assert by_text[labels[2]].get_color() == style.FADED
    assert by_text[labels[0]].get_color() == style.INK
    centre = by_text["−2"].get_window_extent()
    factor = (spots[0, 1, 1] - spots[0, 0, 1] - style.GAP) // 12
    assert abs((centre.x0 + centre.x1) / 2 - (spots[0, 0, 1] + 6 * factor)) < 2, "values stand above their column"
    # The label of a row stands beside it.
    middle = figure.bbox.height - (spots[1, 0, 0] + 6 * factor)
    box = by_text[labels[1]].get_window_extent()
    assert abs((box.y0 + box.y1) / 2 - middle) < 3


def test_traversal_without_a_posterior_or_with_values_of_its_own() -> None:
    assert {"z0", "z1", "−3", "3"} <= set(words(grid(2, 3, (1, 8, 8))))
    values = np.array([[-1.0, 0, 1], [-20, 0, 35.5]])
    images = noise(2, 3, 1, 8, 8)
    found = words(traversals(images, values, [1, 0], images[0, 0], images[0, 0], TITLE))
    assert {"low", "high", "−1.00 … 1.00", "−20.00 … 35.50"} <= set(found)


def test_pairs_and_samples_are_counted() -> None:
    images = noise(40, 1, 8, 8)
    assert any("16 of 40 images, 8 × 8 grey" in text for text in words(reconstructions(images, images, TITLE)))
    assert any("mean squared error 0.2500" in t for t in words(reconstructions(images * 0, images * 0 + 0.5, TITLE)))
    assert any("64 of 100 samples, 5 × 7 colour" in text for text in words(samples(noise(100, 3, 5, 7), TITLE)))


def test_tile_by_hand() -> None:
    sheet = style.tile(np.array([[[[[0.0, 1.0]]], [[[0.5, np.nan]]]]]), 2)  # 1 x 2 grey images of 1 x 2 pixels
    gap = style.GAP
    assert sheet.shape == (gap + 2 + gap, gap + 4 + gap + 4 + gap, 3)
    grey = [200] * gap
    assert sheet[gap, :, 0].tolist() == [*grey, 0, 0, 255, 255, *grey, 128, 128, 200, 200, *grey]
    assert (sheet[gap] == sheet[gap + 1]).all()
    assert (sheet[..., 0] == sheet[..., 2]).all()


def test_curves_join_splits_and_leave_out_what_is_no_number() -> None:
    logged = {
        "train/kl": (np.array([1, 2, 3]), np.array([1.0, np.nan, 3.0])),
        "val/kl": (np.array([2]), np.array([5.0])),
        "train/rec": (np.array([1, 2]), np.array([np.inf, np.nan])),
        "val/accuracy": (np.array([2]), np.array([0.5])),
        "train/kl_per_dim/0": (np.array([2]), np.array([0.5])),
    }
    figure = curves(logged, TITLE)
    panels = [axes for axes in figure.axes if axes.axison]
    assert [len(panel.lines) for panel in panels] == [2, 1]
    assert panels[0].lines[0].get_xydata().tolist() == [[1, 1], [3, 3]]
    assert panels[0].lines[1].get_xydata().tolist() == [[2, 5]]
    assert panels[0].lines[0].get_linestyle() != panels[0].lines[1].get_linestyle()
    found = words(figure)
    assert found.count("nats per image") == 1, "an accuracy has no unit"
    assert {"kl", "accuracy", "train", "val", "batches"} <= set(found)


def test_curves_use_a_log_scale_only_where_it_helps() -> None:
    assert needs_log_scale(history()["train/loss"][1])
    assert not needs_log_scale(history()["train/kl"][1])
    assert not needs_log_scale(-history()["train/loss"][1])
    assert not needs_log_scale(np.array([3.0]))
    scales = [axes.get_yscale() for axes in curves(history(), TITLE).axes if axes.axison]
    assert scales == ["log", "linear", "linear", "linear"]


@pytest.mark.parametrize("latents", [2, 10, 200])
def test_kl_bars_fall_and_name_their_latent(latents: int) -> None:
    kl = np.random.default_rng(1).permutation(np.linspace(0, 4, latents))
    figure = kl_per_dim(kl, TITLE)
    found = words(figure)
    heights = [bar.get_height() for axes in figure.axes for bar in axes.patches if bar.get_facecolor()[:3] in BARS]
    assert np.allclose(heights, np.sort(kl)[::-1])
    named = [int(t.get_text()) for axes in figure.axes for t in axes.get_xticklabels()]
    assert named == np.argsort(-kl).tolist()
    active = int((kl >= 0.01).sum())
    assert f"KL to the prior: {kl.sum():.2f} nats in {active} active of {latents} latents" in found
    assert len({axes.get_ylim() for axes in figure.axes}) == 1, "every row of bars has the same scale"


def test_information_by_hand() -> None:
    information = np.array([[0.1, 0.6, 0.3], [0.0, 0.0, 1.0]])
    figure = mutual_information(information, np.array([1.0, 2.0]), ("shape", "scale"), TITLE)
    found = words(figure)
    image = figure.axes[0].images[0]
    assert np.allclose(image.get_array(), [[0.1, 0.6, 0.3], [0, 0, 0.5]])
    assert image.get_clim() == (0, 1)
    assert {"0.30", "0.50", "z1", "z2", "shape", "scale"} <= set(found)
    assert any("mean 0.40" in text for text in found)
    constant = mutual_information(information, np.array([1.0, 0.0]), ("shape", "colour"), TITLE)
    assert np.allclose(constant.axes[0].images[0].get_array()[1], 0), "a factor with one level knows nothing"


def test_correlations_say_sign_and_size() -> None:
    matrix = np.array([[0.25, -0.875], [-0.004, 0.5]])
    figure = factor_correlation(matrix, ("shape", "orientation"), TITLE)
    found = words(figure)
    assert {"0.25", "−0.88", "0.00", "0.50", "z1  0.88", "z1  0.50"} <= set(found)
    assert any("not meaningful where orientation is cyclic" in text for text in found)
    image = figure.axes[0].images[0]
    assert np.array_equal(image.get_array(), matrix)
    assert image.get_clim() == (-1, 1)
    codes = np.array([[1.0, -0.5], [-0.5, 1.0]])
    assert any("mean |r| 0.50" in text for text in words(code_correlation(codes, TITLE)))
    large = code_correlation(np.where(np.eye(32) > 0, 1, -0.5), TITLE)
    assert len(large.axes[0].lines) == 32 * 31, "a dash marks what is negative where no number fits"
    assert any("dash" in text for text in words(large))


def test_colours_survive_grey_print() -> None:
    def lightness(colour: str) -> float:
        return float(np.dot(to_rgb(colour), (0.30, 0.59, 0.11)))

    ramp = colormaps[style.SEQUENTIAL](np.linspace(0, 1, 64))[:, :3] @ (0.30, 0.59, 0.11)
    assert (np.diff(ramp) < 0).all(), "more is darker"
    assert lightness(style.SECOND) - lightness(style.FIRST) > 0.2
    assert lightness(style.FADED) < 0.5, "readable on white"


def test_same_data_same_bytes(tmp_path: Path) -> None:
    for i, name in enumerate(("samples 61 of (1, 31, 17)", "curves", "codes 10", "kl 32")):
        style.save(FIGURES[name](), tmp_path / f"{i}.png")
        style.save(FIGURES[name](), tmp_path / f"{i}-again.png")
        first = (tmp_path / f"{i}.png").read_bytes()
        assert first == (tmp_path / f"{i}-again.png").read_bytes()
        assert not any(chunk in first for chunk in (b"tIME", b"tEXt", b"iTXt")), "no date, no version"
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "1.png").read_bytes()


def test_disk_and_dashboard_show_the_same(tmp_path: Path) -> None:
    figure = FIGURES["codes 10"]()
    pixels = style.to_uint8(figure)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (round(figure.bbox.height), round(figure.bbox.width), 3)
    assert np.array_equal(pixels, saved(figure, tmp_path / "deep" / "codes.png"))


def test_a_figure_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    unreadable = Figure()
    unreadable.text(0, 0, r"$\frac{$")  # found out only when it is drawn
    path = tmp_path / "figure.png"
    with pytest.raises(ValueError, match="frac"):
        style.save(unreadable, path)
    assert list(tmp_path.iterdir()) == []
    style.save(FIGURES["codes 2"](), path)
    whole = path.read_bytes()
    with pytest.raises(ValueError, match="frac"):
        style.save(unreadable, path)
    assert path.read_bytes() == whole
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OSError, match=r"taken\.png"):
        style.save(FIGURES["codes 2"](), tmp_path / "taken.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figure.png", "taken.png"]


def test_ranges_by_hand() -> None:
    assert traversal_values("pm5").tolist() == [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5]
    thirds = np.array([-9, -7, -5, -3, -1, 1, 3, 5, 7, 9]) / 9
    assert np.allclose(traversal_values("pm1"), thirds)
    assert np.allclose(traversal_values("pm3"), 3 * thirds)
    assert np.allclose(traversal_values("pm6"), [-6, -3.6, -1.2, 1.2, 3.6, 6])
    half = np.array([0.12566135, 0.38532047, 0.67448975, 1.03643339, 1.64485363])
    assert np.allclose(traversal_values("prior_quantiles"), [*-half[::-1], *half], atol=1e-8)
    codes = np.stack([np.arange(101.0), -2 * np.arange(101.0)], axis=1)
    expected = 1 + 98 / 9 * np.arange(10)
    assert np.allclose(traversal_values("data_quantiles", codes), [expected, -2 * expected[::-1]])


def test_ranges_refuse_and_stay_as_they_are() -> None:
    with pytest.raises(ValueError, match=r"'prior_quantile' is not one of .*Did you mean 'prior_quantiles'"):
        traversal_values("prior_quantile")
    with pytest.raises(UserError) as refusal:
        traversal_values("nonsense")
    assert all(preset in str(refusal.value) for preset in (*PRESETS, "data_quantiles"))
    with pytest.raises(ValueError, match="needs codes"):
        traversal_values("data_quantiles")
    traversal_values("pm3")[:] = 0
    assert traversal_values("pm3")[0] == -3


SETS = ("default", "full", "none")
SLOW = {"class_traversals", "category_traversals", "animation", "tsne"}  # not at the end of every training
FIXTURES = {
    "reconstructions": "images reconstructed title",
    "samples": "samples title",
    "traversals": "traversal traversal_values traversal_dims original reconstruction title traversal_kl",
    "curves": "history title",
    "kl_per_dim": "kl_per_dim title kl_names",
    "factor_correlation": "factor_correlation factor_names title",
    "code_correlation": "code_correlation title",
    "mutual_information": "information factor_entropies factor_names title",
    "class_grid": "class_grid class_grid_originals category_names title",
    "swap": "swap swap_rows swap_columns title",
    "class_traversals": "class_traversal class_traversal_values class_traversal_dims class_traversal_names "
    "class_traversal_originals title",
    "category_traversals": "category_traversal category_traversal_values category_traversal_dims category_names title",
    "animation": "animation animation_values animation_dims title",
    "attributes": "attribute_names attribute_accuracy attribute_majority attribute_balanced title",
    "tsne": "plane_points plane_levels plane_names title label_names plane_perplexity knn_purity",
    "laplacian": "laplacian_images title laplacian_reconstructions laplacian_samples label_names",
    "top_attributes": "top_latents top_columns top_correlations factor_names title",
}


def test_configuration_names_every_figure() -> None:
    chosen = compose_train("figure=full").figure
    assert chosen.traversal in ("auto", *PRESETS, "data_quantiles")
    assert set(chosen.figures) == set(FIXTURES) == {path.stem for path in CONF.glob("*.yaml")} - {*SETS}
    for figure, node in chosen.figures.items():
        module, _, function = node["_target_"].rpartition(".")
        assert node["_partial_"] is True
        assert list(inspect.signature(getattr(import_module(module), function)).parameters) == FIXTURES[figure].split()
    assert not compose_train("figure=none").figure.figures
    assert set(compose_train("figure=default").figure.figures) == set(FIXTURES) - SLOW
    assert list(compose_train("figure=[curves,samples]").figure.figures) == ["curves", "samples"]


def test_no_display_and_no_global_state() -> None:
    modules = ", ".join(f"vaezoo.figures.{name}" for name in FIXTURES)
    code = f"import sys, {modules}; sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=CONF.parents[1]).returncode == 0
