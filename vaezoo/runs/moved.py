"""New places of classes that were moved, so that run folders of earlier versions can still be read."""

from typing import Any

LATENTS = ("Codes", "Gaussian", "Mixed", "Point")
CRITICS = ("Critic", "Encoder", "RecognitionHead")
GENERATORS = ("DenseGenerator", "Generator")
MOVED = {
    **{f"vaezoo.latents.{name}": f"vaezoo.latents.{name.lower()}.{name}" for name in LATENTS},
    **{f"vaezoo.networks.adversarial.{name}": f"vaezoo.networks.critic.{name}" for name in CRITICS},
    **{f"vaezoo.networks.adversarial.{name}": f"vaezoo.networks.generator.{name}" for name in GENERATORS},
    "vaezoo.networks.critics.CodeCritic": "vaezoo.networks.code_critics.CodeCritic",
    "vaezoo.metrics.classifier.classifier": "vaezoo.metrics.code_classifier.classifier",
    "vaezoo.metrics.elbo.elbo": "vaezoo.metrics.evidence.elbo",
    "vaezoo.metrics.reconstruction.reconstruction": "vaezoo.metrics.reconstruction_error.reconstruction",
    "vaezoo.metrics.total_correlation.gtc": "vaezoo.metrics.gaussian_tc.gtc",
    "vaezoo.metrics.total_correlation.gwc": "vaezoo.metrics.gaussian_tc.gwc",
}


def update_targets(config: Any) -> None:
    """Replace the former names of moved classes in a configuration, in place."""
    for node in config.values() if isinstance(config, dict) else config:
        if isinstance(node, dict | list):
            update_targets(node)
    if isinstance(config, dict) and isinstance(target := config.get("_target_"), str) and target in MOVED:
        config["_target_"] = MOVED[target]
