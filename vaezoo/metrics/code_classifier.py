"""How often the linear classifier that was trained beside the model names the class of an image; shares in [0, 1].

The classifier takes the code of an image, in evaluation its posterior mean. `train_accuracy` is over the evaluated rows
that are not held out.
"""

import numpy as np

from vaezoo.metrics.directions import Better
from vaezoo.metrics.protocol import Result


@Better(higher=("classifier_accuracy",))
def classifier(
    test_class_logits: np.ndarray,
    test_labels: np.ndarray,
    train_class_logits: np.ndarray | None = None,
    train_labels: np.ndarray | None = None,
) -> Result:
    """Logits (M, classes) and labels (M,)."""
    result: Result = {"accuracy": float((test_class_logits.argmax(axis=1) == test_labels).mean())}
    if train_class_logits is not None and train_labels is not None:
        result["train_accuracy"] = float((train_class_logits.argmax(axis=1) == train_labels).mean())
    return {f"classifier_{name}": share for name, share in result.items()}
