"""Callbacks of Lightning, or of the user, that the configuration adds to a run: `callbacks.NAME._target_`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping, Timer
from pytorch_lightning.utilities.model_helpers import is_overridden

from vaezoo.config.requirements import OUR_CALLBACKS
from vaezoo.config.signatures import read_signature
from vaezoo.errors import UserError

BATCH_HOOKS = ("on_train_batch_start", "on_train_batch_end")
STEP_HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")


def build_callbacks(nodes: Mapping[str, Any], trainer_flags: Mapping[str, Any], folder: Path) -> dict[str, Callback]:
    """Return the callbacks that the configuration adds, by their names, with files in `folder`.

    Raises UserError for what is no callback, and for hooks that this run would never call.
    """
    callbacks = {}
    for name, node in nodes.items():
        if name in OUR_CALLBACKS or node is None:
            continue
        callback = build_callback(name, node, folder)
        hooks = [hook for hook in (*BATCH_HOOKS, *STEP_HOOKS, "on_before_zero_grad") if is_overridden(hook, callback)]
        kind = f"callbacks.{name}: {type(callback).__name__}"
        if "on_before_zero_grad" in hooks:
            raise UserError(f"{kind} has on_before_zero_grad, which Lightning does not call for manual optimisation.")
        if trainer_flags.get("engine") == "graphed" and set(hooks) & set(STEP_HOOKS):
            raise UserError(f"{kind} acts within a step; trainer.engine=graphed replays steps without calling it.")
        if trainer_flags.get("chunk") not in (None, 1) and set(hooks) & set(BATCH_HOOKS):
            raise UserError(f"{kind} acts on each batch; trainer.chunk={trainer_flags['chunk']} would hide most.")
        callbacks[name] = callback
    return callbacks


def build_callback(name: str, node: Mapping[str, Any], folder: Path) -> Callback:
    """Return one callback. Checkpoints of Lightning lie in checkpoints/NAME, and have the same names after a kill."""
    options = dict(node)
    if "dirpath" in read_signature(options["_target_"]).parameters:
        options["dirpath"] = str(folder / "checkpoints" / name)
    if "enable_version_counter" in read_signature(options["_target_"]).parameters:
        options.setdefault("enable_version_counter", False)
    try:
        callback = instantiate(options)
    except (InstantiationException, MisconfigurationException, TypeError, ValueError) as error:
        cause = error.__cause__ or error
        reason = next(iter(str(cause).splitlines()), type(cause).__name__)
        raise UserError(f"callbacks.{name}: it cannot be built ({reason}).") from error
    if not isinstance(callback, Callback):
        raise UserError(f"callbacks.{name}: {options['_target_']} is no callback of pytorch_lightning.")
    return callback


def act_on_batches(callbacks: Mapping[str, Callback]) -> bool:
    """Return whether a callback acts on each training batch, so that a chunk may hold one alone."""
    return any(is_overridden(hook, callback) for callback in callbacks.values() for hook in BATCH_HOOKS)


@contextmanager
def explain_refusals() -> Iterator[None]:
    """Turn what Lightning raises about callbacks into a UserError."""
    try:
        yield
    except (MisconfigurationException, RuntimeError) as error:
        text = " ".join(str(error).split())
        if isinstance(error, MisconfigurationException) or "callback" in text or "Early stopping" in text:
            raise UserError(f"callbacks: Lightning refuses them ({text[:300]}).") from error
        raise


class StopRecord(Callback):
    """Notes, in the checkpoint too, that a callback has ended the training before its budget, and which one.

    `job` is the identity of the training: a run that goes on with another budget is not bound to the note.
    """

    def __init__(self, callbacks: Mapping[str, Callback], job: str) -> None:
        self.callbacks = callbacks
        self.job = job
        self.stop: dict[str, Any] = {}

    def on_train_end(self, trainer: Any, module: Any) -> None:
        timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]
        own = set(map(id, self.callbacks.values()))
        out_of_time = any(id(timer) not in own and (timer.time_remaining() or 0.0) <= 0 for timer in timers)
        if module.clock.batches < module.clock.max_batches and self.callbacks and not out_of_time:
            self.stop = {"job": self.job, "batches": module.clock.batches, **describe_stop(self.callbacks)}

    def state_dict(self) -> dict[str, Any]:
        return self.stop


def describe_stop(callbacks: Mapping[str, Callback]) -> dict[str, str]:
    """Return the callback that ended the training, and its reason; all of them where none says that it did."""
    for name, callback in callbacks.items():
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message is not None:
            reason = callback.stopping_reason_message.removesuffix(" Signaling Trainer to stop.")
            return {"by": f"callbacks.{name}", "reason": reason}
    return {"by": " or ".join(f"callbacks.{name}" for name in callbacks), "reason": ""}


def read_stop(checkpoint: Mapping[str, Any], job: str) -> dict[str, Any]:
    """Return the note of a checkpoint that a callback has ended this training; an empty one where none has."""
    stop = checkpoint["callbacks"].get("StopRecord")
    return stop if isinstance(stop, dict) and stop.get("job") == job else {}
