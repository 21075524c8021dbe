"""Whether this machine has the GPU that a trainer asks for, answered without Lightning."""

from typing import Any

from vaezoo.errors import UserError


def check_devices(trainer: Any) -> None:
    """Raise UserError if the node conf/trainer asks for a GPU, or for CUDA graphs, and there is no such device."""
    accelerator, is_graphed = trainer.get("accelerator"), trainer.get("engine") == "graphed"
    if accelerator not in ("gpu", "cuda", "mps") and not is_graphed:
        return
    import torch  # takes two seconds, which only those wait for who need a GPU

    if accelerator in ("gpu", "cuda", "mps") and not torch.accelerator.is_available():
        raise UserError(
            f"trainer.accelerator={accelerator}: PyTorch {torch.__version__} finds no GPU here. Use"
            " trainer=cpu, or trainer=auto, which takes a GPU where there is one."
        )
    if is_graphed and not torch.cuda.is_available():
        raise UserError("trainer.engine=graphed: CUDA graphs need a GPU of NVIDIA, and there is none; take compiled.")
