"""The loop by hand, told by steps.py through a pipe (worker.py).

In a process of its own, as the packages: what vaezoo sets for its process, such as how memory is kept, is not set here.
"""

from typing import Any

import interleaved
import numpy as np
import plain
import torch
from worker import Turn, serve


def model_of(case: dict[str, Any]) -> plain.VAE | None:
    """None where nobody wrote the objective by hand."""
    penalties = {
        "betavae": lambda: plain.betavae(beta=case["beta"]),
        "dipvae": lambda: plain.dipvae(lambda_od=case["lambda_od"]),
        "betatcvae": lambda: plain.betatcvae(beta=case["beta"], images=case["train_images"]),
    }
    if case["model"] not in penalties:
        return None
    model = plain.VAE(case["shape"], case["latents"], penalties[case["model"]]())
    plain.copy_weights(np.load(case["weights"]).values(), model.encoder, model.decoder)
    return model.to(case["device"])


def minimising(case: dict[str, Any], loss: Any, parameters: Any) -> Any:
    optimizer = torch.optim.Adam(parameters, lr=case["lr"], betas=case["betas"], eps=case["eps"])

    def step(x: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(x)[0].backward()
        optimizer.step()

    return step


def prepare(case: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Turn]]:
    torch.set_num_threads(case["threads"])
    ready = torch.from_numpy(np.load(case["images"])[: 8 * case["rows"]]).float().to(case["device"])
    batches = ready.split(case["rows"])
    facts, steps = {}, {}
    if (model := model_of(case)) is not None:
        with torch.no_grad():
            _, rec, kl = model(batches[0])
        facts = {"parameters": plain.size(model), "rec": rec.item(), "kl": kl.item()}
        steps["bare"] = minimising(case, model, model.parameters())
        if case["compile"]:
            torch.compiler.reset()
            compiled = model_of(case)
            steps["bare, compiled"] = minimising(case, torch.compile(compiled, dynamic=False), compiled.parameters())
    else:
        from training import by_hand, plain_networks

        steps["bare"] = by_hand(plain_networks(case))
    return facts, {
        name: lambda step=step: interleaved.loop(step, batches, case["steps"], case["clock"])
        for name, step in steps.items()
    }


if __name__ == "__main__":
    serve(prepare)
