"""A linear-Gaussian pair of joint distributions, whose best critic is known."""

import math
from types import SimpleNamespace

import torch
from torch import nn

from tests.support.tensors import double

TOYS = {"equal": (2, 0.5, 0.5, 1, 1), "second": (2, 0.5, 0.25, 0.8, 0.5), "third": (1, 0.3, 0.8, 1, 1)}  # S, a, t; b, v


class ToyEncoder(nn.Module):
    def __init__(self, a: float, t: float) -> None:
        super().__init__()
        self.a, self.t = nn.Parameter(double(a)), nn.Parameter(double(t))

    def forward(self, x):
        x = x.flatten(1)
        return torch.cat([self.a * x, self.t.log().expand_as(x)], dim=1)


class Quadratic(nn.Module):
    """The logit with these coefficients of 1, x^2, x z, z^2."""

    def __init__(self, coefficients: torch.Tensor) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(coefficients.clone())

    def forward(self, x, z):
        x = x.flatten(1)
        return torch.cat([torch.ones_like(x), x * x, x * z, z * z], dim=1) @ self.coefficients[:, None]


def log_normal(variance) -> torch.Tensor:
    """The coefficients of 1 and u^2 in ln N(u; 0, variance)."""
    return torch.stack([-0.5 * (2 * math.pi * variance).log(), -0.5 / variance])


def log_joint(own, slope, noise) -> torch.Tensor:
    """The coefficients of 1, u^2, u w, w^2 in ln N(u; 0, own) N(w; slope u, noise)."""
    one, square = log_normal(own)
    other, noise_square = log_normal(noise)
    return torch.stack([one + other, square + slope**2 * noise_square, -2 * slope * noise_square, noise_square])


def log_product(s_x, s_z) -> torch.Tensor:
    (one, x), (other, z) = log_normal(s_x), log_normal(s_z)
    return torch.stack([one + other, x, torch.zeros_like(x), z])


def densities(s, a, t, b, v) -> SimpleNamespace:
    """ln q(x, z), ln p(x, z), ln p(x) p(z), ln q(x) q(z) as coefficients of 1, x^2, x z, z^2."""
    s, a, t, b, v = (torch.as_tensor(value, dtype=torch.float64) for value in (s, a, t, b, v))
    one = torch.ones_like(s)
    return SimpleNamespace(
        q=log_joint(s, a, t),
        p=log_joint(one, b, v)[[0, 3, 2, 1]],
        p_marginals=log_product(b**2 + v, one),
        q_marginals=log_product(s, a**2 * s + t),
        moments_q=torch.stack([one, s, a * s, a**2 * s + t]),
        moments_p=torch.stack([one, b**2 + v, b * one, one]),
    )


def draws(s: float, count: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    x = math.sqrt(s) * torch.randn(count, 1, 1, 1, dtype=torch.float64)
    return x, {"z": torch.randn(count, 1, dtype=torch.float64)}
