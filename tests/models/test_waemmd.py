"""WAE-MMD: the value of its loss, and the models that it is a case of."""

import pytest
import torch

from tests.support.configuration import build_model, compose_train
from vaezoo.config.values import check_config
from vaezoo.errors import UserError

SMALL = ("dataset=digits", "metric=none", "figure=none", "logger=csv")


def loss_and_gradients(*overrides: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
    model = build_model(*overrides, *SMALL)
    torch.manual_seed(1)
    loss = model.objective(torch.rand(8, 1, 8, 8))["loss"]
    return loss, list(torch.autograd.grad(loss, list(model.parameters())))


INFOVAE = "model=infovae likelihood=gaussian model.alpha=1 model.kernel=imq"


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("model.lambda_mmd=0", "model=ae"),
        ("latent=gaussian", f"{INFOVAE} model.lambda_mmd=10"),
        ("latent=gaussian model.lambda_mmd=7 model.bandwidth=3", f"{INFOVAE} model.lambda_mmd=7 model.bandwidth=3"),
    ],
)
def test_special_cases_are_other_models_bit_for_bit(line, same):
    loss, gradients = loss_and_gradients("model=waemmd", *line.split())
    expected_loss, expected_gradients = loss_and_gradients(*same.split())
    assert torch.equal(loss, expected_loss)
    assert all(torch.equal(a, b) for a, b in zip(gradients, expected_gradients, strict=True))


def test_the_loss_by_hand(monkeypatch):
    """Codes (0, 0) and (1, 1), prior draws (1, 0) and (0, -1), C = 4: MMD^2 = 4/6 + 4/6 - (3 4/5 + 4/9) / 2."""
    model = build_model("model=waemmd", "latent.dim=2", *SMALL).double()
    model.encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2, bias=False)).double()
    with torch.no_grad():
        model.encoder[1].weight.fill_(1 / 64)
    prior = torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    monkeypatch.setattr(model.latent, "sample_prior", lambda count, device: prior)
    x = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]).double()
    terms = model.objective(x)
    codes = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    squared = (model.decode(codes).mean - x).square().sum() / 2
    assert terms["mmd"].item() == pytest.approx(4 / 6 + 4 / 6 - (3 * 4 / 5 + 4 / 9) / 2, abs=1e-12)
    assert (terms["rec"] - squared).item() == pytest.approx(0, abs=1e-9)
    assert terms["loss"].item() == pytest.approx((terms["rec"] + 10 * terms["mmd"]).item())


def test_mistakes_are_answered():
    with pytest.raises(UserError, match="the MMD of WAE-MMD needs at least 2 images"):
        check_config(compose_train("model=waemmd", "dataset.batch_size=1", *SMALL))
    with pytest.raises(UserError, match="does not work with these latents"):
        check_config(compose_train("model=waemmd", "latent=mixed", *SMALL))
