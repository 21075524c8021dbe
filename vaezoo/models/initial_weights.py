"""Initial weights of a network, other than those that its own file describes."""

from collections.abc import Callable
from typing import Any, Literal

from torch import nn

Scheme = Literal["torch", "glorot", "he", "orthogonal", "normal"]


def draw_he(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Draw from N(0, 2 / inputs); a transposed convolution stores its inputs where others store their outputs."""
    nn.init.kaiming_normal_(
        layer.weight, nonlinearity="relu", mode="fan_out" if isinstance(layer, nn.ConvTranspose2d) else "fan_in"
    )


DRAWS: dict[str, Callable[[Any], Any]] = {
    "glorot": lambda layer: nn.init.xavier_uniform_(layer.weight),
    "he": draw_he,
    "orthogonal": lambda layer: nn.init.orthogonal_(layer.weight),
    "normal": lambda layer: nn.init.normal_(layer.weight, 0.0, 0.02),
}


def draw_initial_weights(network: nn.Module, scheme: Scheme | None) -> None:
    """Draw the weights of all linear layers and convolutions of a network anew; None leaves it as it is.

    scheme       weights                                           biases
    torch        U(-b, b) with b^2 = 1 / inputs                    the same
    glorot       U(-b, b) with b^2 = 6 / (inputs + outputs)        0       Glorot & Bengio (2010), equation 16
    he           N(0, 2 / inputs)                                  0       He et al. (2015), equation 10
    orthogonal   orthogonal rows or columns, of norm 1             0       Saxe et al. (2014)
    normal       N(0, 0.02^2)                                      0       Radford et al. (2016), of DCGAN

    Inputs and outputs are those of a linear layer; a convolution has them at each position of its kernel.
    """
    if scheme is None:
        return
    for layer in network.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        if scheme == "torch":
            layer.reset_parameters()
            continue
        DRAWS[scheme](layer)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
