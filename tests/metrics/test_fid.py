"""Distances of sets of images: closed forms, invariants, and what is said where Inception is not there."""

import inspect
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf
from scipy import linalg

from tests.support.configuration import build_model, compose_train
from tests.support.datasets import data_module, squares
from vaezoo.config.directory import DIRECTORY
from vaezoo.evaluation import features
from vaezoo.evaluation.evaluate_model import evaluate_model
from vaezoo.evaluation.metric_inputs import MetricInputs
from vaezoo.evaluation.outputs import Outputs
from vaezoo.evaluation.scores import evaluate_metrics
from vaezoo.evaluation.table import encode
from vaezoo.metrics.distances import extrapolated_frechet, ffd, fid, frechet, intercept, kernel_distance, kfd, kid
from vaezoo.metrics.protocol import Skip

PARTS = ("dataset.shape=[1,16,16]", "network=mlpk", "metric=none", "figure=none", "logger=csv", "latent.dim=4")


def gaussian(mean: np.ndarray, covariance: np.ndarray, n: int = 3000, seed: int = 0) -> np.ndarray:
    """Rows whose own mean and covariance are exactly these."""
    x = np.random.default_rng(seed).standard_normal((n, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / (n - 1)).T)
    return x @ np.linalg.cholesky(covariance).T + mean


def covariance(d: int, seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((d, d))
    return a @ a.T / d + 0.1 * np.eye(d)


def test_two_gaussians_in_closed_form():
    m1, m2 = np.array([1.0, 2, 3]), np.array([0.0, 2, 5])
    s1, s2 = np.array([4.0, 1, 9]), np.array([1.0, 1, 4])
    # Diagonal covariances: |m1 - m2|² + Σ (σ1 - σ2)² = 5 + 1 + 0 + 1.
    assert frechet(gaussian(m1, np.diag(s1)), gaussian(m2, np.diag(s2), seed=1)) == pytest.approx(7, abs=1e-9)


@pytest.mark.parametrize("d", [1, 2, 16])
def test_it_is_the_formula_with_a_matrix_root(d):
    s1, s2 = covariance(d, 1), covariance(d, 2)
    m1, m2 = np.arange(d, dtype=float), np.ones(d)
    expected = ((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * np.real(linalg.sqrtm(s1 @ s2)))
    assert frechet(gaussian(m1, s1), gaussian(m2, s2, seed=5)) == pytest.approx(expected, rel=1e-8)


def test_frechet_is_a_distance():
    x, y = gaussian(np.zeros(5), covariance(5, 3)), gaussian(np.ones(5), covariance(5, 4))
    assert frechet(x, x) == pytest.approx(0, abs=1e-12)
    assert frechet(x, y) == pytest.approx(frechet(y, x), rel=1e-12)
    turn = linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    assert frechet(x @ turn + 3, y @ turn + 3) == pytest.approx(frechet(x, y), rel=1e-9)
    assert frechet(2 * x, 2 * y) == pytest.approx(4 * frechet(x, y), rel=1e-9)
    few = x[:3]  # singular covariances
    assert frechet(few, few) == pytest.approx(0, abs=1e-12)
    assert np.isfinite(frechet(few, y))


def test_the_bias_of_few_images_is_upwards():
    rng = np.random.default_rng(0)
    at = {n: frechet(rng.standard_normal((n, 32)), rng.standard_normal((20_000, 32))) for n in (100, 1000)}
    assert at[100] == pytest.approx(3.1, abs=0.8), "the table of the specification"
    assert at[1000] == pytest.approx(0.29, abs=0.08)


def test_the_line_through_points():
    sizes = np.array([1000, 1250, 1500, 1750, 2000])
    assert intercept(1 / sizes, 3.5 + 40 / sizes) == pytest.approx(3.5, abs=1e-12)
    x, y = np.random.default_rng(0).random((2, 7))
    assert intercept(x, y) == pytest.approx(np.polynomial.Polynomial.fit(x, y, 1)(0), abs=1e-12)


def test_infinitely_many_images_have_no_bias():
    """Where it is known: between two samples of N(0, I) it is (d (d + 1) / 4 + d) (2 / n), to the first order.

    Of 2 000 rows in 32 dimensions that is 0.296: 0.264 from the covariances and 0.032 from the means.
    """
    found = []
    for seed in range(20):
        x, y = np.random.default_rng(seed).standard_normal((2, 2000, 32))
        found.append([frechet(x, y), extrapolated_frechet(x, y), extrapolated_frechet(x, 1.5 * y + 1)])
    biased, same, different = np.array(found).T
    assert biased.mean() == pytest.approx(0.296, rel=0.05)
    assert abs(same.mean()) < 0.035
    assert different.mean() == pytest.approx(32 * (1 + 0.25), rel=0.04)  # |m|² + d (1.5 - 1)²


def test_the_extrapolation_is_of_the_first_rows_and_has_a_name_of_its_own():
    x, y = np.random.default_rng(0).standard_normal((2, 1000, 5))
    sizes = [500, 625, 750, 875, 1000]
    expected = intercept(1 / np.array(sizes), np.array([frechet(x[:n], y[:n]) for n in sizes]))
    assert fid(x, y, extrapolate=True) == {**fid(x, y), "fid_inf": pytest.approx(expected, abs=1e-12)}
    alone = ffd(x, y, y, "a", 0.5)
    assert ffd(x, y, y, "a", 0.5, extrapolate=True) == {**alone, "ffd5_a_inf": pytest.approx(expected, abs=1e-12)}


def test_the_number_of_images_is_in_the_name_and_few_are_refused():
    x = np.random.default_rng(0).random((3000, 5), np.float32)
    assert set(fid(x, x)) == {"fid_3k"}
    assert set(fid(x, x[:2500])) == {"fid_2500"}
    assert fid(x, x)["fid_3k"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(Skip, match=r"3 images are too few for 5 features.*allow_small"):
        fid(x[:3], x)
    assert set(fid(x[:3], x, allow_small=True)) == {"fid_small_n3"}
    with pytest.raises(Skip, match="49 images of each kind are too few for 5 features, which need 50"):
        ffd(x, x[:49], x, "a", 0.5)
    found = {"ffd5_a": 0, "ffd5_a_noise": 0, "ffd5_a_accuracy": 0.5}
    assert ffd(x, x, x, "a", 0.5, x[:49]) == pytest.approx({**found, "ffd_images": 3000}, abs=1e-9)
    assert ffd(x, x, x, "a", 0.5, x[:50]) == pytest.approx({**found, "ffd5_a_floor": 0, "ffd_images": 50}, abs=1e-9)


def test_kernel_distance_by_hand_and_without_bias():
    x, y = np.array([[1.0], [2.0]]), np.array([[0.0], [3.0]])
    # k(1, 2) = 27, k(0, 3) = 1; between: (1 + 4³ + 1 + 7³) / 4.
    assert kernel_distance(x, y) == pytest.approx(27 + 1 - 2 * (1 + 64 + 1 + 343) / 4)
    rng = np.random.default_rng(0)
    alike = [kernel_distance(*rng.standard_normal((2, 40, 4))) for _ in range(400)]
    assert abs(np.mean(alike)) < 4 * np.std(alike) / 20
    assert np.mean(alike) < np.mean([kernel_distance(a, b + 0.5) for a, b in rng.standard_normal((50, 2, 40, 4))])


def test_subsets_of_kid():
    x, y = np.random.default_rng(0).standard_normal((2, 300, 4))
    whole = kernel_distance(x, y + 1)
    assert kid(x, y + 1, np.random.default_rng(1))["kid"] == pytest.approx(whole, rel=1e-6), "no more than a subset"
    some = kid(x, y + 1, np.random.default_rng(1), subset=100)["kid"]
    assert some == pytest.approx(whole, rel=0.1)
    assert some != whole
    assert set(kfd(x, y, "toycnn_a", np.random.default_rng(1))) == {"kfd4_toycnn_a"}


# Images of a run


@pytest.fixture
def told(monkeypatch, tmp_path):
    monkeypatch.setenv("VAEZOO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(features, "BATCHES", 60)
    data = data_module(squares)
    model = build_model("model=vae", *PARTS)
    return Outputs(model, data, encode(model, data, rows=None, test_rows=None, seed=0), "t")


def score(told, *names, images=None, inception=None):
    config = compose_train("metric=full").metric.scores
    metrics = {name: instantiate(config[name]) for name in names}
    return evaluate_metrics(metrics, MetricInputs(told, images, inception), seed=0, repeats=1)


def test_every_kind_of_image_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "BATCHES", 2)
    data, model = data_module(squares), build_model("model=vae", *PARTS)
    encoded, decoded = [], []
    model.encoder.register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))
    model.decoder.register_forward_pre_hook(lambda _, inputs: decoded.append(len(inputs[0])))
    metric = OmegaConf.create({"rows": None, "test_rows": None, "seeds": 2, "images": 100, "inception": None})
    full = compose_train("metric=full").metric.scores
    metric.scores = {name: full[name] for name in ("reconstruction", "laplacian", "fid", "kid", "ffd", "kfd")}
    figure = compose_train("figure=none").figure
    scores, _ = evaluate_model(model, data, tmp_path, title="t", metric=metric, figure=figure, seed=0)
    held_out = len(data.rows.test)
    assert sum(encoded) == len(data.source)
    # The table decodes each held-out image at a draw and at its mean; then come reconstructions and samples, once.
    assert sum(decoded) == 2 * held_out + min(100, held_out) + 100
    assert {"eval/laplacian_var_images", "eval/laplacian_var_samples"} <= set(scores.values)
    assert any(key.startswith("eval/kfd64_squarescnn_") for key in scores.values)
    assert set(scores.skipped) == {"fid", "kid", "ffd"}


def test_no_constant_of_a_protocol_is_called_like_what_is_handed_over(told):
    inputs = MetricInputs(told, 1, None)
    for path in (Path(DIRECTORY) / "metric" / "score").glob("*.yaml"):
        metric = get_method(OmegaConf.load(path)[path.stem]._target_)
        parameters = inspect.signature(metric).parameters.values()
        assert not [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name in inputs], path


def test_images_belong_together(told):
    images = MetricInputs(told, 7, None)
    error = np.square(images.images - images.reconstructions).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(error, told.table.squared_error[images.positions], rtol=1e-4)
    assert len(images.images) == len(images.prior_samples) == len(images.train_images) == 7
    assert set(told.table.index[images.positions]) <= set(told.data.rows.test)
    assert set(images.train_rows) <= set(told.data.rows.train)


# The features of the data set itself


def test_features_are_learned_once_and_told_apart_by_their_hash(told, monkeypatch):
    first = features.load_or_learn(told.data, torch.device("cpu"))
    assert first.name.startswith("squarescnn_")
    assert first.accuracy > 0.3, "of 3, 8 and 8 levels, by chance 0.19"
    monkeypatch.setattr(features, "train", lambda *_: pytest.fail("trained again"))
    again = features.load_or_learn(told.data, torch.device("cpu"))
    assert again.name == first.name
    assert again.accuracy == first.accuracy
    x = np.random.default_rng(0).random((5, 1, 16, 16), np.float32)
    seen = features.extract(again, x, torch.device("cpu"))
    assert seen.shape == (5, 64)
    np.testing.assert_array_equal(seen, features.extract(first, x, torch.device("cpu")))


def test_a_damaged_network_is_learned_anew(told, caplog):
    first = features.load_or_learn(told.data, torch.device("cpu"))
    (file,) = features.extractor_folder().glob("squares-*.pt")
    for damage in (file.read_bytes()[:1000], b"", b"not a network"):
        file.write_bytes(damage)
        caplog.clear()
        assert features.load_or_learn(told.data, torch.device("cpu")).name == first.name, (
            "the same seeds, the same network"
        )
        assert "will be made again" in caplog.text


def test_another_split_is_another_network(told):
    rows = told.data.rows
    before = features.hash_images(told.data, rows.train)
    assert before != features.hash_images(told.data, rows.train[:-1])


def test_the_caller_keeps_its_randomness(told):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch.no_grad():
        features.load_or_learn(told.data, torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)


def test_a_small_network_learns_classes_of_some_training_images(told):
    table, sizes = told.table, told.table.factors[:, 0].astype(np.int64)
    train = np.flatnonzero(table.scored & ~table.held_out)
    positions = np.random.default_rng(0).permutation(len(train))[:150]
    first, again, other = (
        MetricInputs(told, None, None).small_classifier(positions, sizes[train][positions], seed) for seed in (1, 1, 2)
    )
    assert first.shape == (table.held_out.sum(), 3)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    assert (first.argmax(1) == sizes[table.held_out]).mean() > 0.6
    wrong = MetricInputs(told, None, None).small_classifier(positions, 2 - sizes[train][positions], 1)
    assert (wrong.argmax(1) == 2 - sizes[table.held_out]).mean() > 0.6, "what it is told, it learns"


def test_far_is_farther_than_near(told):
    images = MetricInputs(told, None, None)
    near = frechet(images.train_features, images.test_features)
    assert near < 0.2 * frechet(images.train_features, images.noise_features)


def test_without_anything_to_learn_it_is_skipped():
    with pytest.raises(Skip, match="neither factors nor labels"):
        features.choose_targets(SimpleNamespace(factors=None, labels=None))
    both = SimpleNamespace(factors=np.array([[0, 1, 0], [0, 2, 1]]), labels=np.array([0, 1]))
    assert features.choose_targets(both).tolist() == [[1, 0], [2, 1]], "factors that vary"
    drawings = SimpleNamespace(factors=np.arange(200)[:, None], labels=np.arange(200) % 2)
    assert features.choose_targets(drawings)[:3].tolist() == [[0], [1], [0]], (
        "a factor that names single drawings is none"
    )


# Inception


def test_what_is_missing_is_said(told, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    skipped = score(told, "fid", "kid").skipped
    assert set(skipped) == {"fid", "kid"}
    for reason in skipped.values():
        assert "torch-fidelity (pip install 'vaezoo[fid]'" in reason
        assert str(features.extractor_folder() / features.WEIGHTS) in reason
        assert str(tmp_path / "torch" / "hub" / "checkpoints" / features.WEIGHTS) in reason
        assert "metric.inception" in reason


class Stub(torch.nn.Module):
    """In place of Inception: means of three parts of the 8-bit image."""

    def __init__(self, name, features_list, feature_extractor_weights_path):
        super().__init__()
        assert features_list == ["2048"]
        self.register_buffer("scale", torch.load(feature_extractor_weights_path, weights_only=True))
        self.seen = []

    def forward(self, x):
        assert x.dtype == torch.uint8
        assert x.shape[1] == 3
        self.seen.append(x)
        return (torch.stack([part.float().mean((1, 2, 3)) for part in x.chunk(3, dim=2)], 1) * self.scale,)


@pytest.fixture
def weights(monkeypatch, tmp_path):
    module = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = Stub
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    file = tmp_path / "weights.pth"
    torch.save(torch.ones(1), file)
    return str(file)


def test_a_stub_of_inception_gives_the_closed_form(told, weights):
    scores = score(told, "fid", "kid", images=100, inception=weights)
    assert set(scores.values) == {"eval/fid_100", "eval/kid"}
    images = MetricInputs(told, 100, None)

    def seen(x):
        pixels = np.rint(255 * x).repeat(3, axis=1)
        return np.stack([part.mean(axis=(1, 2, 3)) for part in np.array_split(pixels, [6, 12], axis=2)], axis=1)

    real, generated = seen(images.train_images), seen(images.prior_samples)
    s1, s2 = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    root = np.real(linalg.sqrtm(s1 @ s2))
    expected = ((real.mean(0) - generated.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * root)
    assert scores.values["eval/fid_100"] == pytest.approx(expected, rel=1e-4)
    assert scores.protocols["fid"]["rows"] == 100


def test_real_features_are_kept_and_a_damaged_file_is_made_anew(told, weights):
    first = MetricInputs(told, 50, weights).train_inception
    again = MetricInputs(told, 50, weights)
    np.testing.assert_array_equal(again.train_inception, first)
    assert not again.inception.network.network.seen
    (file,) = features.extractor_folder().glob("inception-*.npy")
    file.write_bytes(file.read_bytes()[:200])
    np.testing.assert_array_equal(MetricInputs(told, 50, weights).train_inception, first)
    assert len(MetricInputs(told, 60, weights).train_inception) == 60


def test_bytes_reach_inception_as_they_were(weights):
    network = features.load_inception(weights).network
    images = torch.arange(256).view(1, 1, 16, 16) / 255
    network(images)
    assert torch.equal(network.network.seen[0][0, 2].flatten().long(), torch.arange(256))


def test_a_file_that_holds_no_weights_is_named(told, weights, tmp_path):
    bad = tmp_path / "bad.pth"
    bad.write_bytes(b"nonsense")
    (reason,) = score(told, "fid", inception=str(bad)).skipped.values()
    assert str(bad) in reason
    assert "does not hold the weights" in reason
