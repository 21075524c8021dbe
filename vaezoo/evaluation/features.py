"""Networks that turn images into features, for distances between sets of images (vaezoo.metrics.distances).

Inception-v3 is that of the package torch-fidelity, with its file of weights. Both are looked for when a score asks for
them, and nothing is downloaded. The other network is small. It learns, once for each data set and split, what the data
set knows of its training images: their factors of few levels, or else their classes. It is kept in the data folder, so
that all runs on this machine share it, because distances in the features of two networks do not compare.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaezoo.data.files.lock import find_data_folder, lock_data_folder
from vaezoo.evaluation.table import fingerprint
from vaezoo.metrics.protocol import Skip
from vaezoo.progress import progress
from vaezoo.runs.files import write_whole
from vaezoo.seeds import derive, own_noise

log = logging.getLogger(__name__)

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
WIDTH = 64  # features of the small network
LEVELS = 100  # of a factor that it can learn; factors with more levels number single objects or drawings
BATCH, BATCHES = 64, 1000  # of its training: a minute on two cores for 64x64


class Extractor(NamedTuple):
    """A network from images (B, C, H, W) in [0, 1] to features (B, D)."""

    network: nn.Module
    name: str
    accuracy: float = float("nan")  # on held-out images, of what it has learned


def extract(extractor: Extractor, images: np.ndarray, device: torch.device) -> np.ndarray:
    """Return the features (N, D) of images, float32."""
    network = extractor.network.to(device).eval()
    parts = []
    with torch.inference_mode(), progress(f"features, {extractor.name}", len(images), "image") as bar:
        for part in torch.from_numpy(images).split(256):
            parts.append(network(part.to(device)).float().cpu().numpy())
            bar.update(len(part))
    return np.concatenate(parts)


def extractor_folder() -> Path:
    """Return the folder of the weights and of the features of real images."""
    return find_data_folder() / "extractors"


def hash_images(data: Any, rows: np.ndarray, *more: Any) -> str:
    """Return a short hash of rows of a data set and of `more` that features depend on."""
    identity = [data.name, data.source.identity, data.source.shape, hashlib.sha256(rows.tobytes()).hexdigest(), *more]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


# ---- Inception -------------------------------------------------------------------------------------------------------


class Inception(nn.Module):
    """The network of torch-fidelity for images in [0, 1], which it takes as 8-bit colours; grey has three channels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the pooled features (B, 2048)."""
        # Rounded, because truncation would make most values that came from bytes one smaller.
        pixels = (255 * images.clamp(0, 1)).round().byte()
        pooled: Tensor = self.network(pixels.expand(-1, 3, -1, -1))[0]
        return pooled


def load_inception(weights: str | None) -> Extractor:
    """Return Inception with the weights in a file; None looks in the usual places.

    Raise Skip with the names of everything that is missing.
    """
    usual = [extractor_folder() / WEIGHTS, Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS]
    places = [Path(weights).expanduser()] if weights else usual
    file = next((place for place in places if place.is_file()), None)
    missing = []
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:  # also where torch-fidelity lacks a package of its own
        missing.append(f"the package torch-fidelity (pip install 'vaezoo[fid]'; {error})")
    if file is None:
        looked = " and ".join(map(str, places))
        missing.append(f"the file {WEIGHTS} (looked for {looked}; metric.inception=FILE names another place)")
    if missing:
        raise Skip(f"Inception is not here, missing: {' and '.join(missing)}")
    try:
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(file))
    except Exception as error:
        raise Skip(f"{file} does not hold the weights of Inception ({type(error).__name__})") from error
    return Extractor(Inception(network), "inception")


def load_or_make(extractor: Extractor, data: Any, rows: np.ndarray, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the features of rows of the data set from the data folder; `make` computes them where they are missing."""
    weights = fingerprint(extractor.network.state_dict())
    file = extractor_folder() / f"{extractor.name}-{hash_images(data, rows, weights)}.npy"
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        made = make()
    with lock_data_folder(extractor_folder(), "features of real images"):
        write_whole(file, lambda beside: np.save(beside, made))
    return made


# ---- the network of a data set ---------------------------------------------------------------------------------------


class SmallNetwork(nn.Sequential):
    """Four convolutions with ReLU, then the mean over places: features (B, 64)."""

    def __init__(self, channels: int) -> None:
        sizes = (channels, 32, 64, 64, WIDTH)
        layers: list[nn.Module] = []
        for before, after, stride in zip(sizes, sizes[1:], (2, 2, 2, 1), strict=False):
            layers += [nn.Conv2d(before, after, 3, stride, padding=1), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def choose_targets(source: Any) -> np.ndarray:
    """Return what the small network learns of each image, (N, T) from 0: factors of 2 to 100 levels, or else its class.

    Raise Skip where there is neither.
    """
    for classes in (source.factors, source.labels):
        if classes is not None:
            columns = classes.reshape(len(classes), -1)
            largest = columns.max(axis=0)
            if (learnable := (largest > 0) & (largest < LEVELS)).any():
                return columns[:, learnable].astype(np.int64)
    raise Skip("the data set has neither factors nor labels to learn features from")


def load_or_learn(data: Any, device: torch.device) -> Extractor:
    """Return the small network of this data set and split; train it where it is not in the data folder yet."""
    targets = choose_targets(data.source)
    file = extractor_folder() / f"{data.name}-{hash_images(data, data.rows.train, WIDTH, BATCH, BATCHES)}.pt"
    with own_noise(derive(0, "extractor")):
        network = SmallNetwork(data.source.shape[0])
    if (accuracy := restore(network, file)) is None:
        with lock_data_folder(extractor_folder(), f"dataset={data.name}: learning features"):
            # Another process may have trained it while this one waited for the lock.
            if (accuracy := restore(network, file)) is None:
                accuracy = train(network.to(device), data, targets)
                content = {"network": network.cpu().state_dict(), "accuracy": accuracy}
                write_whole(file, lambda beside: torch.save(content, beside))
    return Extractor(network, f"{data.name}cnn_{fingerprint(network.state_dict())[:6]}", accuracy)


def restore(network: nn.Module, file: Path) -> float | None:
    """Load the weights of a network and return its accuracy; None where the file is missing or damaged."""
    if not file.is_file():
        return None
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict(content["network"])
        return float(content["accuracy"])
    except Exception:
        log.warning("%s is damaged and will be made again.", file)
        return None


def train(network: nn.Module, data: Any, targets: np.ndarray) -> float:
    """Train the small network; return its accuracy on at most 10,000 held-out images, the mean over targets."""
    rng = np.random.default_rng(derive(0, "extractor"))
    rows = data.rows.train
    heads = learn(network, data, rows, targets[rows], rng, derive(0, "heads of the extractor"))
    test_rows = rng.permutation(data.rows.test)[:10_000]
    ends = np.cumsum(targets.max(axis=0) + 1)[:-1]
    parts = np.split(predict(network, heads, data, test_rows), ends, axis=1)
    return float(np.mean([part.argmax(1) == column for part, column in zip(parts, targets[test_rows].T, strict=True)]))


def learn(
    network: nn.Module, data: Any, rows: np.ndarray, targets: np.ndarray, rng: np.random.Generator, seed: int
) -> nn.Linear:
    """Teach a network the targets (N, T) of rows (N,) of the data set; return its linear heads, side by side.

    The order of the images comes from `rng`, the first weights of the heads from `seed`.
    """
    device = next(network.parameters()).device
    sizes = (targets.max(axis=0) + 1).tolist()
    with torch.enable_grad(), own_noise(seed), progress("learning features", BATCHES, "batch") as bar:
        heads = nn.Linear(WIDTH, sum(sizes)).to(device)
        optimizer = torch.optim.Adam([*network.parameters(), *heads.parameters()], lr=1e-3)
        for _ in range(BATCHES):
            batch = rng.integers(len(rows), size=BATCH)
            images = data.batch(torch.from_numpy(rows[batch])).images
            true = torch.from_numpy(targets[batch]).to(device)
            parts = heads(network(images)).split(sizes, dim=1)
            loss = torch.stack([F.cross_entropy(part, column) for part, column in zip(parts, true.T, strict=True)])
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            bar.update()
    return heads


def predict(network: nn.Module, heads: nn.Linear, data: Any, rows: np.ndarray) -> np.ndarray:
    """Return the logits (N, outputs) of the heads for rows of the data set."""
    with torch.inference_mode():
        return np.concatenate([heads(network(batch.images)).cpu().numpy() for batch in data.batches(rows, 1024)])


def classify_by_small_network(
    data: Any, rows: np.ndarray, classes: np.ndarray, test_rows: np.ndarray, seed: int, device: torch.device
) -> np.ndarray:
    """Teach a new small network the classes (N,) of rows of the data set; return its logits (M, classes) for others."""
    with own_noise(derive(seed, "small classifier")):
        network = SmallNetwork(data.source.shape[0]).to(device)
    rng = np.random.default_rng(derive(seed, "images of the small classifier"))
    heads = learn(network, data, rows, classes[:, None], rng, derive(seed, "head of the small classifier"))
    return predict(network, heads, data, test_rows)
