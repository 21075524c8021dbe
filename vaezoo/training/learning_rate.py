"""Learning-rate schedules of torch, stepped by batch: a linear warm-up, then what `lr_schedule` names."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from vaezoo.config.requirements import LENGTHS
from vaezoo.errors import UserError


class RateSchedule:
    """The learning rates of one optimiser: a linear warm-up over `warmup` batches, then those of a schedule of torch.

    At batch b < warmup, counted from 0, the rates are (b + 1) / (warmup + 1) of those that the schedule begins with.
    `rate` is that of the latest step, of the first group of parameters.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, warmup: int, schedule: Any = None) -> None:
        self.optimizer = optimizer
        self.warmup = warmup
        self.schedule = schedule
        self.batches = 0
        self.first_rates = [group["lr"] for group in optimizer.param_groups]
        self.rate = float(self.first_rates[0])
        self.warm_up()

    def warm_up(self) -> None:
        """Set the rates of the present batch, which belongs to the warm-up or comes right after it."""
        share = 1.0 if self.batches >= self.warmup else (self.batches + 1) / (self.warmup + 1)
        for group, rate in zip(self.optimizer.param_groups, self.first_rates, strict=True):
            group["lr"] = share * rate

    def step(self) -> None:
        """Set the rates of the next batch."""
        self.rate = float(self.optimizer.param_groups[0]["lr"])
        self.batches += 1
        if self.batches <= self.warmup:
            self.warm_up()
        elif self.schedule is not None:
            self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what a run that goes on needs besides the rates, which are in the state of the optimiser."""
        schedule = {} if self.schedule is None else self.schedule.state_dict()
        return {"batches": self.batches, "first_rates": self.first_rates, "rate": self.rate, "schedule": schedule}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state. Raises UserError for one that is damaged."""
        try:
            self.batches, self.first_rates, self.rate = state["batches"], state["first_rates"], state["rate"]
            if self.schedule is not None:
                self.schedule.load_state_dict(state["schedule"])
        except (LookupError, TypeError, AttributeError) as damage:
            raise UserError(f"The checkpoint is damaged: it has no state of lr_schedule ({damage}).") from None


def make_schedules(
    optimizers: Sequence[torch.optim.Optimizer], node: Mapping[str, Any], max_batches: int
) -> list[RateSchedule]:
    """Return a schedule for each optimiser as `lr_schedule` describes it; none where the rates stay as they are.

    A length that is null in `node` is what the warm-up leaves of the budget. Raises UserError for a warm-up that is as
    long as the budget, and for values that torch refuses.
    """
    warmup = node.get("warmup", 0)
    if not warmup and "_target_" not in node:
        return []
    if warmup >= max_batches:
        raise UserError(f"lr_schedule.warmup={warmup}: must be less than the {max_batches} batches of the budget.")
    options = {key: value for key, value in node.items() if key not in ("warmup", "_partial_")}
    options |= {key: max_batches - warmup for key in LENGTHS if key in options and options[key] is None}
    with refuse_by_torch("lr_schedule"):
        return [RateSchedule(optimizer, warmup, build_schedule(optimizer, options)) for optimizer in optimizers]


def build_schedule(optimizer: torch.optim.Optimizer, options: Mapping[str, Any]) -> Any:
    """Return the schedule of torch that the options describe, for an optimiser; None where they name none."""
    return instantiate({**options, "_partial_": True})(optimizer) if "_target_" in options else None


@contextmanager
def refuse_by_torch(key: str) -> Iterator[None]:
    """Turn the errors of constructors of torch into a UserError that names the key."""
    try:
        yield
    except UserError:
        raise
    except (TypeError, ValueError, InstantiationException) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise UserError(f"{key}: torch refuses these values ({reason}).") from error
