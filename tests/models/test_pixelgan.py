"""PixelGAN autoencoder and PixelCNN: masks, a density that sums to one, samples that follow it, whom losses reach."""

import itertools
import json

import pytest
import torch
from torch import nn

from tests.support.command_line import QUICK, train_in
from tests.support.configuration import SMALL, build_model, check_line
from vaezoo.errors import UserError
from vaezoo.likelihoods import Bernoulli
from vaezoo.networks.pixelcnn import MaskedConv2d, PixelCNN

DEEP = {"maps": 8, "blocks": 2, "first": 3, "kernel": 3}


def pixelcnn(shape=(1, 2, 3), seed: int = 0, **options) -> PixelCNN:
    """With weights large enough that everything matters."""
    torch.manual_seed(seed)
    network = PixelCNN(2, shape, **{**DEEP, **options}).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    return network


def all_images(height: int, width: int) -> torch.Tensor:
    values = list(itertools.product([0.0, 1.0], repeat=height * width))
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, height, width)


def probabilities(network: PixelCNN, code) -> torch.Tensor:
    """Of all binary 2x3 images, in the order of `all_images`."""
    x = all_images(2, 3)
    y = torch.tensor([code], dtype=torch.float64).expand(len(x), 2)
    return Bernoulli(network(x, y)).log_prob(x).exp()


@pytest.mark.parametrize(("own", "seen"), [(False, 4), (True, 5)])
def test_masks_of_both_types(own, seen):
    layer = MaskedConv2d(1, 1, 3, own=own)
    assert layer.mask.flatten().tolist() == [1] * seen + [0] * (9 - seen)
    with pytest.raises(ValueError, match="an odd kernel, got 4"):
        MaskedConv2d(1, 1, 4, own=own)


@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 4, 4)])
@pytest.mark.parametrize("options", [{}, {"first": 7, "blocks": 5, "maps": 4}, {"kernel": 5}])
def test_no_pixel_knows_of_itself_or_of_later_ones(shape, options):
    network = pixelcnn(shape, **options)
    x = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    y = torch.ones(1, 2, dtype=torch.float64)
    of_pixels = network(x, y).sum(1).flatten()
    for i, logit in enumerate(of_pixels):
        (grad,) = torch.autograd.grad(logit, x, retain_graph=True)
        reached = grad.abs().sum(1).flatten() > 0
        assert not reached[i:].any()
        assert i == 0 or reached[i - 1] or i % shape[2] == 0, "and each knows of the one before it in its row"


def test_probabilities_of_all_images_sum_to_one():
    network = pixelcnn()
    for code in ([1.0, 0.0], [0.0, 1.0], [0.3, -2.0]):
        assert probabilities(network, code).sum().item() == pytest.approx(1, abs=1e-12)
    assert not torch.allclose(probabilities(network, [1.0, 0.0]), probabilities(network, [0.0, 1.0]))


def test_samples_follow_the_density():
    network, count = pixelcnn(), 10_000
    torch.manual_seed(0)
    x = network.sample(torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(count, 2))
    index = (x.flatten(1) * 2.0 ** torch.arange(5, -1, -1)).sum(1).long()
    found = torch.bincount(index, minlength=64) / count
    assert 0.5 * (found - probabilities(network, [1.0, 0.0])).abs().sum() < 0.04  # 0.032 by chance at 64 equal cells


def test_rows_out_of_reach_do_not_matter():
    """The shortcut of sampling: logits of the last row from the rows that it sees are those from the whole image."""
    network = pixelcnn((1, 9, 5))
    assert network.above == 3
    x, y = torch.rand(2, 1, 9, 5, dtype=torch.float64), torch.rand(2, 2, dtype=torch.float64)
    for row in range(9):
        whole = network(x, y)[:, :, row]
        seen = network(x[:, :, max(0, row - 3) : row + 1], y)[:, :, -1]
        torch.testing.assert_close(seen, whole)


def pixelgan(*overrides: str):
    return build_model("model=pixelgan", *SMALL, *overrides)


def test_who_is_reached_by_which_loss():
    model = pixelgan()
    x = torch.rand(6, 1, 8, 8)

    def reached(loss) -> set[str]:
        model.zero_grad(set_to_none=True)
        loss.backward()
        return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}

    assert reached(model.autoencoder_objective(x, {})["loss"]) == {"encoder", "decoder"}
    assert reached(model.critic_objective(x, {})["loss"]) == {"critic"}
    assert reached(model.encoder_objective(x, {})["loss"]) == {"encoder", "critic"}


def test_an_undecided_pixelcnn_pays_ln_2_a_pixel():
    model = pixelgan()
    for parameter in model.decoder.last.parameters():
        nn.init.zeros_(parameter)
    terms = model.objective(torch.rand(4, 1, 8, 8))
    assert terms["nll"].item() == pytest.approx(64 * 0.693147, rel=1e-6)
    for parameter in model.critic.layers[-1].parameters():
        nn.init.zeros_(parameter)
    terms = model.objective(torch.rand(4, 1, 8, 8))
    assert terms["loss_critic"].item() == pytest.approx(1.386294, abs=1e-6)
    assert terms["adv"].item() == pytest.approx(0.693147, abs=1e-6)


def test_its_networks():
    model = pixelgan()
    assert [block.weight.shape for block in model.decoder.blocks] == [(64, 64, 3, 3)] * 5
    assert model.decoder.first.weight.shape == (64, 1, 7, 7)
    assert model.decoder.above == 8
    y = model.encode(torch.rand(5, 1, 8, 8)).clusters
    torch.testing.assert_close(y.sum(1), torch.ones(5))
    images = model.decode(model.sample_prior(5)).mean
    assert images.shape == (5, 1, 8, 8)
    assert set(images.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.slow
def test_a_whole_run(tmp_path):
    train_in(tmp_path, "model=pixelgan", "max_batches=6", "logger=csv", "metric.rows=300", *QUICK)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["scores"]["eval/cluster_count"] == 30
    assert found["skipped"]["reconstruction"].startswith("the model reconstructs no images")
    assert (tmp_path / "figures" / "samples.png").is_file()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("latent=clusters", "PixelGAN has one category and no other code; latent=category does that"),
        ("latent=gaussian", "It takes latent=category"),
        ("model.pixelcnn.kernel=4", "model.pixelcnn.kernel=4: must be an odd whole number"),
    ],
)
def test_what_cannot_work_is_refused(line, complaint):
    with pytest.raises(UserError, match=complaint):
        check_line(["model=pixelgan", "dataset=digits", *line.split()])
