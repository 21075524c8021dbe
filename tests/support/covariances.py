"""Penalties of DIP-VAE on a small batch of codes."""

import torch

from tests.support.tensors import double
from vaezoo.models.dipvae import Moments, batch_moments, covariance, covariance_gap, running_moments

MEANS = double([[1, 2], [0, 1], [-1, 0], [2, 1]])


VARIANCES = double([[0.5, 0.25], [0.5, 0.5], [0.25, 1.0], [0.75, 0.25]])


def penalty(means, lambda_od, lambda_d, kind="i", variances=None):
    logvar = torch.zeros_like(means) if variances is None else variances.log()
    off_diagonal, diagonal = covariance_gap(covariance(batch_moments(means, logvar), kind))
    return lambda_od * off_diagonal + lambda_d * diagonal


def run_average(batches, decay, grad_rescale=True, requires_grad=False):
    past = Moments(torch.zeros(2).double(), torch.zeros(2, 2).double(), torch.zeros(2).double())
    for step, means in enumerate(batches, start=1):
        means = means.clone().requires_grad_(requires_grad)
        weight = double((1 - decay) / (1 - decay**step))
        average = running_moments(
            past, batch_moments(means, torch.zeros_like(means)), weight, grad_rescale=grad_rescale
        )
        yield weight.item(), means, average
        past = Moments(*(moment.detach() for moment in average))


def gradient(means, average):
    off, diagonal = covariance_gap(covariance(average, "i"))
    return torch.autograd.grad(10 * off + 100 * diagonal, means)[0]
