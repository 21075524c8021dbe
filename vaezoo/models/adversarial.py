"""The plumbing of models whose players move in turn."""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn

from vaezoo.errors import UserError
from vaezoo.models.base import LatentModel, Terms, gradient_norm, parameters_of, statistics_kept
from vaezoo.ranges import Count


class AdversarialModel(LatentModel):
    """Players that move in turn, each with its own networks, objective and optimiser.

    A subclass names its `players` in the order of their moves, with the networks that each of them owns (a network may
    have several owners), and writes `NAME_objective(x, drawn)` for each: its terms, of which "loss" is minimised over
    the player's own networks alone. `drawn` holds what the players of a step share: the "labels" of the batch, where
    there are any, the noise that `draw` makes, and what one move leaves for the next, such as codes, detached: after a
    move the graph of the one before is stale, so only values are shared.

    `optimizers` has an entry for each player that does not use the common `optimizer` as it is: the arguments that
    differ, such as {"critic": {"lr": 1e-3}}, or another optimiser altogether. `batches_a_step` independent batches
    reach each step as one; `x.chunk(batches_a_step)` gives them back. With `micro_batches` k > 1 every move goes over
    the batch in k parts and makes one step: the gradient of the whole batch in a fraction of its memory, wherever the
    terms are means over images. Batch normalisation and batch statistics then see the parts.
    """

    leader: str | None = None  # the player whose loss is that of the model, where there is one

    def __init__(
        self,
        *,
        optimizers: Mapping[str, Mapping[str, Any] | Callable[..., torch.optim.Optimizer]] | None = None,
        micro_batches: Count = 1,
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.player_optimizers = optimizers or {}
        self.gradient_norm: Tensor | None = None  # of the latest move, before clipping
        self.micro_batches = micro_batches

    def players(self) -> dict[str, Sequence[nn.Module]]:
        raise NotImplementedError

    def draw(self, x: Tensor) -> Terms:
        """Noise that the players of a step share, a row for each image: the same whatever `micro_batches` is."""
        return {}

    def sitting_out(self, parts: Sequence[tuple[Tensor, Terms]]) -> Set[str]:
        """Which of the `gated` players make no move in this step."""
        return frozenset()

    def idle(self, x: Tensor, labels: Tensor | None = None) -> Set[str]:
        return self.decide_idle(self.parts(x, labels))

    def decide_idle(self, parts: Sequence[tuple[Tensor, Terms]]) -> Set[str]:
        """Return the players that make no move in this step; no running statistics learn from the decision."""
        if not self.gated:
            return frozenset()
        with statistics_kept(self.modules()):
            return frozenset(self.sitting_out(parts))

    def owned(self) -> dict[str, list[nn.Module]]:
        """Return the networks of each player; a classifier of codes belongs to that of the encoder."""
        owned = {name: list(networks) for name, networks in self.players().items()}
        if self.classifier is not None:
            owned[self.encoder_player()].append(self.classifier)
        return owned

    def encoder_player(self) -> str:
        """Return the first player that owns the encoder, whose loss gets the terms beside the model."""
        return next(name for name, networks in self.players().items() if self.encoder in networks)

    def terms_of(self, name: str, x: Tensor, drawn: Terms) -> Terms:
        terms: Terms = getattr(self, f"{name}_objective")(x, drawn)
        beside = self.classifier is not None or len(self.extra_terms) > 0
        return self.extended(terms, x, drawn.get("labels")) if beside and name == self.encoder_player() else terms

    def objective(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        """The terms of all players, without a move in between."""
        drawn = self.draw(x) if labels is None else {**self.draw(x), "labels": labels}
        return self.merged({name: self.terms_of(name, x, drawn) for name in self.players()})

    def step(self, x: Tensor, labels: Tensor | None = None, idle: Set[str] | None = None) -> Terms:
        parts = self.parts(x, labels)
        if idle is None:
            idle = self.decide_idle(parts)
        terms = {}
        for name, optimizer in zip(self.players(), self.all_optimizers(), strict=True):
            terms[name] = self.move(name, optimizer, parts, plays=name not in idle)
        self.batches += 1
        return self.merged(terms)

    def validate(self, x: Tensor, labels: Tensor | None = None) -> Terms:
        return self.objective(x, labels)

    def parts(self, x: Tensor, labels: Tensor | None) -> list[tuple[Tensor, Terms]]:
        """The micro-batches of a step, each with its share of what is drawn."""
        count, batches = self.micro_batches, self.batches_a_step
        drawn = {key: list(values.chunk(count)) for key, values in self.draw(x).items()}
        if labels is not None:
            drawn["labels"] = split(labels, count, batches)
        return [
            (part, {key: values[i] for key, values in drawn.items()}) for i, part in enumerate(split(x, count, batches))
        ]

    def move(self, name: str, optimizer: Any, parts: Sequence[tuple[Tensor, Terms]], *, plays: bool = True) -> Terms:
        """One player's step: nobody else's networks get a gradient, and nobody's momentum moves without one."""
        found: list[Terms] = []
        torch.clear_autocast_cache()  # mixed precision would show a network of two players as it was before the first
        own = {module for network in self.owned()[name] if plays for module in network.modules()}
        with (
            self.toggled_optimizer(optimizer),
            statistics_kept(module for module in self.modules() if module not in own),
        ):
            # Not to zero: Adam moves weights whose gradient is zero by their momentum, but not those without one.
            optimizer.zero_grad(set_to_none=True)
            for x, drawn in parts:
                with torch.set_grad_enabled(plays):
                    terms = self.terms_of(name, x, drawn)
                if plays:
                    self.manual_backward(terms["loss"] / len(parts))
                found.append({key: term.detach() for key, term in terms.items()})
            if plays:
                optimizer.step()
        means = {key: torch.stack([terms[key] for terms in found]).mean(0) for key in found[0]}
        norm = self.gradient_norm if plays and self.gradient_norm is not None else torch.zeros_like(means["loss"])
        skipped = {f"skipped_{name}": torch.full_like(norm, not plays)} if name in self.gated else {}
        return {**means, f"grad_norm_{name}": norm, **skipped}

    def merged(self, terms: Mapping[str, Terms]) -> Terms:
        """All players' terms; each loss is called loss_NAME, and that of the leader "loss"."""
        losses = {"loss" if name == self.leader else f"loss_{name}": found["loss"] for name, found in terms.items()}
        rest = {key: term for found in terms.values() for key, term in found.items() if key != "loss"}
        return {**losses, **rest}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return an optimiser for each player; raise UserError where `optimizers` names a player that is none.

        A player that moves only with other options, such as the information of InfoGAN, may be named all the same.
        """
        for name in self.player_optimizers:
            if not hasattr(self, f"{name}_objective"):
                raise UserError(
                    f"model.optimizers.{name}: {type(self).__name__} has no such player."
                    f" Its players are {', '.join(self.players())}."
                )
        return [
            self.optimizer_for(name, [p for network in owned for p in network.parameters()])
            for name, owned in self.owned().items()
        ]

    def optimizer_for(self, name: str, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimiser of one player: its own, or the common one with the arguments that differ."""
        own = self.player_optimizers.get(name, {})
        return own(parameters) if callable(own) else self.optimizer(parameters, **own)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.gradient_norm = gradient_norm(optimizer)
        if self.gradient_clip is not None:
            nn.utils.clip_grads_with_norm_(parameters_of(optimizer), self.gradient_clip, self.gradient_norm)


def split(values: Tensor, count: int, batches: int) -> list[Tensor]:
    """`values` of several batches, one after the other, in `count` parts that hold a share of each batch."""
    return [torch.cat(shares) for shares in zip(*(batch.chunk(count) for batch in values.chunk(batches)), strict=True)]
