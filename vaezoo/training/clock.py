"""The clock of a training run: counts the batches, seeds the noise of each, and says when to look for interrupts."""

import torch

from vaezoo.distributed import process_count
from vaezoo.seeds import derive
from vaezoo.training.interrupts import Interrupts

MEETING = 10  # batches after which processes ask each other


class Clock:
    """Counts batches in step with the model's own `batches` buffer, without reading it back from the device.

    Each batch draws its noise from (seed, batch number), so what happens between two batches (validation, a figure, an
    interruption) cannot change the next one.
    """

    def __init__(
        self,
        max_batches: int,
        seed: int,
        *,
        batches: int = 0,
        interrupts: Interrupts | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.max_batches = max_batches
        self.seed = seed
        self.batches = batches
        self.interrupts = interrupts or Interrupts()
        self.on_cpu = device is None or device.type == "cpu"

    def seed_noise(self) -> None:
        """Let torch draw the noise of the present batch from here on."""
        seed = derive(self.seed, "noise", self.batches)
        if self.on_cpu:  # torch.manual_seed takes 0.7 ms to note the seed for GPUs that nobody uses
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def seed_validation(self, batch: int) -> None:
        """Let torch draw the noise of that validation batch: the same in every validation, so that they compare."""
        torch.manual_seed(derive(self.seed, "validation", batch))

    def meets(self) -> bool:
        """Return whether processes ask each other before the present batch; they wait for one another then."""
        return process_count() == 1 or self.batches % MEETING == 0
