"""Networks that turn images into features, for distances between sets of images (vaezoo.metrics.distances).

Inception-v3 is that of the package torch-fidelity, with its file of weights; both are looked for when a score asks, and
nothing is downloaded. The other network is small and learns, once for each data set and split, what the data set knows
of its images: their factors of few levels, or else their classes. Only training images teach it. It is kept in the
data folder, so that all runs on this machine share it: distances in the features of two networks do not compare.
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
LEVELS = 100  # of a factor that it can learn; more tell single objects or drawings apart
BATCH, BATCHES = 64, 1000  # of its training: a minute on two cores for 64x64


class Extractor(NamedTuple):
    """A network from images (B, C, H, W) in [0, 1] to features (B, D), and who it is."""

    network: nn.Module
    name: str
    accuracy: float = float("nan")  # on held-out images, of what it has learned


def features(extractor: Extractor, images: np.ndarray, device: torch.device) -> np.ndarray:
    """(N, D) float32, in the order of the images."""
    network = extractor.network.to(device).eval()
    found = []
    with torch.inference_mode(), progress(f"features, {extractor.name}", len(images), "image") as bar:
        for some in torch.from_numpy(images).split(256):
            found.append(network(some.to(device)).float().cpu().numpy())
            bar.update(len(some))
    return np.concatenate(found)


def folder() -> Path:
    return find_data_folder() / "extractors"


def recipe(data: Any, rows: np.ndarray, *more: Any) -> str:
    """A short hash of which images of which data set."""
    told = [data.name, data.source.identity, data.source.shape, hashlib.sha256(rows.tobytes()).hexdigest(), *more]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


# Inception


class Inception(nn.Module):
    """Whatever torch-fidelity makes of 8-bit colour images; grey ones get three equal channels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        # Rounded: to cut would make most values that came from bytes one smaller.
        pixels = (255 * images.clamp(0, 1)).round().byte()
        pooled: Tensor = self.network(pixels.expand(-1, 3, -1, -1))[0]
        return pooled


def inception(weights: str | None) -> Extractor:
    """With the weights in that file, or where they usually are; skips the score and says all that is missing."""
    usual = [folder() / WEIGHTS, Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS]
    places = [Path(weights).expanduser()] if weights else usual
    file = next((place for place in places if place.is_file()), None)
    missing = []
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:  # it may lack a package of its own
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


def kept(extractor: Extractor, data: Any, rows: np.ndarray, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The features of these rows of the data set, which `make` computes where they are not in the data folder yet."""
    file = folder() / f"{extractor.name}-{recipe(data, rows, fingerprint(extractor.network.state_dict()))}.npy"
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        made = make()
    with lock_data_folder(folder(), "features of real images"):
        write_whole(file, lambda beside: np.save(beside, made))
    return made


# The network of a data set


class SmallNetwork(nn.Sequential):
    """Four convolutions, the mean over places of what is positive: (B, 64)."""

    def __init__(self, channels: int) -> None:
        sizes = (channels, 32, 64, 64, WIDTH)
        layers: list[nn.Module] = []
        for before, after, stride in zip(sizes, sizes[1:], (2, 2, 2, 1), strict=False):
            layers += [nn.Conv2d(before, after, 3, stride, padding=1), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def targets_of(source: Any) -> np.ndarray:
    """What the small network learns of each image: its factors of 2 to 100 levels, or else its class; (N, T) from 0."""
    for known in (source.factors, source.labels):
        if known is not None:
            columns = known.reshape(len(known), -1)
            most = columns.max(axis=0)
            if (chosen := (most > 0) & (most < LEVELS)).any():
                return columns[:, chosen].astype(np.int64)
    raise Skip("the data set has neither factors nor labels to learn features from")


def learned(data: Any, device: torch.device) -> Extractor:
    """The small network of this data set and split, trained where it is not in the data folder yet."""
    targets = targets_of(data.source)
    file = folder() / f"{data.name}-{recipe(data, data.rows.train, WIDTH, BATCH, BATCHES)}.pt"
    with own_noise(derive(0, "extractor")):
        network = SmallNetwork(data.source.shape[0])
    if (accuracy := restored(network, file)) is None:
        with lock_data_folder(folder(), f"dataset={data.name}: learning features"):
            if (accuracy := restored(network, file)) is None:  # else made while this process waited
                accuracy = train(network.to(device), data, targets)
                told = {"network": network.cpu().state_dict(), "accuracy": accuracy}
                write_whole(file, lambda beside: torch.save(told, beside))
    return Extractor(network, f"{data.name}cnn_{fingerprint(network.state_dict())[:6]}", accuracy)


def restored(network: nn.Module, file: Path) -> float | None:
    """Its accuracy, and its weights put into the network; None where the file is missing or damaged."""
    if not file.is_file():
        return None
    try:
        told = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict(told["network"])
        return float(told["accuracy"])
    except Exception:
        log.warning("%s is damaged and will be made again.", file)
        return None


def train(network: nn.Module, data: Any, targets: np.ndarray) -> float:
    """Returns the accuracy on at most 10,000 held-out images, the mean over targets."""
    rng = np.random.default_rng(derive(0, "extractor"))
    rows = data.rows.train
    heads = learn(network, data, rows, targets[rows], rng, derive(0, "heads of the extractor"))
    test = rng.permutation(data.rows.test)[:10_000]
    ends = np.cumsum(targets.max(axis=0) + 1)[:-1]
    parts = np.split(answers(network, heads, data, test), ends, axis=1)
    return float(np.mean([part.argmax(1) == column for part, column in zip(parts, targets[test].T, strict=True)]))


def learn(
    network: nn.Module, data: Any, rows: np.ndarray, targets: np.ndarray, rng: np.random.Generator, seed: int
) -> nn.Linear:
    """Teach a network the targets (N, T) of rows (N,) of the data set; returns the linear heads, side by side.

    The order of the images comes from `rng`, the first weights of the heads from `seed`.
    """
    device = next(network.parameters()).device
    sizes = (targets.max(axis=0) + 1).tolist()
    with torch.enable_grad(), own_noise(seed), progress("learning features", BATCHES, "batch") as bar:
        heads = nn.Linear(WIDTH, sum(sizes)).to(device)
        optimizer = torch.optim.Adam([*network.parameters(), *heads.parameters()], lr=1e-3)
        for _ in range(BATCHES):
            chosen = rng.integers(len(rows), size=BATCH)
            images = data.batch(torch.from_numpy(rows[chosen])).images
            true = torch.from_numpy(targets[chosen]).to(device)
            parts = heads(network(images)).split(sizes, dim=1)
            loss = torch.stack([F.cross_entropy(part, column) for part, column in zip(parts, true.T, strict=True)])
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            bar.update()
    return heads


def answers(network: nn.Module, heads: nn.Linear, data: Any, rows: np.ndarray) -> np.ndarray:
    """What the heads say of rows of the data set, (N, outputs) logits."""
    with torch.inference_mode():
        return np.concatenate([heads(network(batch.images)).cpu().numpy() for batch in data.batches(rows, 1024)])


def small_classifier(
    data: Any, rows: np.ndarray, classes: np.ndarray, test_rows: np.ndarray, seed: int, device: torch.device
) -> np.ndarray:
    """(M, classes): what a small network that learned the classes (N,) of some rows of the data set says of others."""
    with own_noise(derive(seed, "small classifier")):
        network = SmallNetwork(data.source.shape[0]).to(device)
    rng = np.random.default_rng(derive(seed, "images of the small classifier"))
    heads = learn(network, data, rows, classes[:, None], rng, derive(seed, "head of the small classifier"))
    return answers(network, heads, data, test_rows)
