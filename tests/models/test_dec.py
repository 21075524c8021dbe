"""DEC: golden numbers of Q, P and their divergence, the two phases, and runs that are interrupted in either of them."""

import json

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch.nn.modules.batchnorm import _BatchNorm

from tests.support.command_line import BARE, QUICK, rows, same_weights, state, train, train_in
from tests.support.configuration import SMALL, build_model, compose_train
from tests.support.models import fit
from tests.support.tensors import double
from vaezoo.models.dec import divergence, frozen, k_means, sharpened, soft_assignments

Q = double([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
PHASES = ["model.pretrain_batches=6", "model.refresh=4"]


def parameters(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_known_assignments():
    q = soft_assignments(double([[0, 0], [3, 0]]), double([[0, 1], [2, 0]]))
    torch.testing.assert_close(q, double([[0.7143, 0.2857], [0.1538, 0.8462]]), rtol=0, atol=5e-5)
    torch.testing.assert_close(q, double([[5 / 7, 2 / 7], [2 / 13, 11 / 13]]))


def test_known_targets_and_divergence():
    f = Q.sum(0)
    torch.testing.assert_close(f, double([1.7, 1.3]))
    p = sharpened(Q, f)
    expected = double([[0.9841, 0.0159], [0.6324, 0.3676], [0.0456, 0.9544]])
    torch.testing.assert_close(p, expected, rtol=0, atol=5e-5)
    assert 3 * divergence(p, Q).item() == pytest.approx(0.161896, abs=5e-7)
    assert divergence(p, Q).item() == pytest.approx(0.053965, abs=5e-7)
    assert divergence(Q, Q).item() == pytest.approx(0, abs=1e-15)


def test_certain_targets_are_finite():
    q = Q.log().requires_grad_()
    loss = divergence(double([[1, 0], [0, 1], [1, 0]]), q.exp())
    loss.backward()
    assert loss.item() == pytest.approx(-(double([0.9, 0.4, 0.2]).log().mean().item()))
    assert torch.isfinite(q.grad).all()


def test_the_gradient_of_codes_and_centres_is_the_papers():
    """dL/dz_i = 2 sum_j w_ij (p_ij - q_ij) (z_i - mu_j), and minus the sum over i for mu_j; L summed over images."""
    torch.manual_seed(0)
    z, centres = torch.randn(5, 2).double().requires_grad_(), torch.randn(3, 2).double().requires_grad_()
    q = soft_assignments(z, centres)
    p = sharpened(q, q.sum(0)).detach()
    (5 * divergence(p, q)).backward()
    gap = z[:, None] - centres
    each = 2 * ((p - q) / (1 + gap.square().sum(-1)))[..., None] * gap
    torch.testing.assert_close(z.grad, each.sum(1).detach())
    torch.testing.assert_close(centres.grad, -each.sum(0).detach())


def dec(*overrides: str):
    return build_model("model=dec", *SMALL, *overrides)


def started(*overrides: str):
    """A model with clusters, by K-means on digits, and some images."""
    model = dec("model.pretrain_batches=0", *overrides)
    data = instantiate(compose_train("model=dec", *SMALL).dataset)
    data.place(torch.device("cpu"))
    model.training_batches = data.batches(data.rows.train, 1024)
    model.on_train_batch_start(None)
    return model, data.batch(torch.arange(16)).images, data


def reached(model, loss) -> set[str]:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


def test_who_is_reached_by_which_loss():
    model, x, _ = started()
    assert reached(model, model.autoencoder_objective(x, {})["loss"]) == {"encoder", "decoder"}
    assert reached(model, model.clustering_objective(x, {})["loss"]) == {"encoder", "clusters"}
    assert not model.target(x).requires_grad


def test_the_target_is_that_of_all_training_images_at_the_last_refresh():
    model, x, data = started()
    everything = data.batch(torch.from_numpy(data.rows.train)).images
    with torch.no_grad():
        q = model.encode(everything).clusters
        torch.testing.assert_close(model.frequencies, q.sum(0))
        p = sharpened(model.encode(x).clusters, q.sum(0))
    torch.testing.assert_close(model.target(x), p)
    for parameter in model.parameters():
        parameter.data.mul_(1.1)
    torch.testing.assert_close(model.target(x), p)  # whatever has happened since
    before = q.argmax(1)
    model.batches += model.refresh
    model.on_train_batch_start(None)
    assert not torch.allclose(model.target(x), p)
    after = model.encode(everything).clusters.argmax(1)
    assert model.changed.item() == pytest.approx((before != after).float().mean().item())


def test_a_frozen_copy_says_the_same_and_has_nothing_to_train():
    model = dec()
    copy = frozen(model.encoder)
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(copy(x), model.encoder(x))
    assert list(copy.parameters()) == []
    assert copy.state_dict().keys() == model.encoder.state_dict().keys()
    assert all(p.requires_grad for p in model.encoder.parameters())


def test_batch_normalisation_learns_from_the_player_of_the_phase_alone():
    model = dec("network=infogan")
    fit(model, steps=3)
    assert {int(layer.num_batches_tracked) for layer in model.encoder.modules() if isinstance(layer, _BatchNorm)} == {3}


def test_k_means_finds_the_means_of_separate_groups_from_torchs_seed():
    torch.manual_seed(0)
    means = double([[0, 0], [10, 0], [0, 10]])
    codes = means.repeat(20, 1) + 0.1 * torch.randn(60, 2).double()
    torch.manual_seed(1)
    found = k_means(codes, 3)
    torch.testing.assert_close(found[found.argsort(0)[:, 0]].sum(0), double([10, 10]), rtol=0, atol=0.2)
    torch.manual_seed(1)
    assert torch.equal(k_means(codes, 3), found)


def test_published_sizes():
    config = compose_train("model=dec", "network=dec", *SMALL).model
    model = instantiate(config, image_shape=(1, 28, 28))
    assert [parameters(model.encoder), parameters(model.decoder)] == [1665010, 1665784]
    assert model.clusters.centres.shape == (10, 10)
    optimizer = model.configure_optimizers()[1]
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.01, 0.9)


def test_there_are_no_clusters_before_pre_training_is_over():
    assert not hasattr(dec().encode(torch.rand(2, 1, 8, 8)), "clusters")
    model, x, _ = started()
    torch.testing.assert_close(model.encode(x).clusters.sum(1), torch.ones(16))


@pytest.mark.parametrize(
    "precision", ["32-true", *(pytest.param(name, marks=pytest.mark.slow) for name in ("64-true", "bf16-mixed"))]
)
def test_a_whole_run_has_two_phases(precision, tmp_path):
    line = ["model=dec", "max_batches=14", *PHASES, "logger=csv", "metric.rows=300", "figure=none"]
    train_in(tmp_path, *line, f"trainer.precision={precision}", *QUICK, "log_every=1")
    table = [row for row in rows(tmp_path) if row["train/loss_clustering"]]
    values = {key: np.array([float(row[f"train/{key}"]) for row in table]) for key in ("skipped_clustering", "changed")}
    assert values["skipped_clustering"].tolist() == [1] * 6 + [0] * 8
    changed = values["changed"].tolist()
    assert changed[:6] == [1] * 6
    assert len(set(changed[6:10])) == len(set(changed[10:])) == 1
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["scores"]["eval/cluster_count"] == 10


def test_a_run_that_is_cut_in_any_phase_goes_on_bit_for_bit(in_tmp, monkeypatch):
    line = ["model=dec", *PHASES, *QUICK, *BARE]
    whole = train_in("whole", *line, "max_batches=13")
    assert state(whole)["state_dict"]["clusters.centres"].any()
    for cut in (3, 6, 8, 10):
        parts = train_in(f"cut at {cut}", *line, f"max_batches={cut}")
        assert train(monkeypatch, f"run={parts}", "max_batches=13") == 0
        assert same_weights(whole, parts), cut
