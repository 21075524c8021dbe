"""The page of sliders: one HTML file that decodes codes in the browser, from disk and without a network.

It holds encoder and decoder of each model as ONNX, onnxruntime-web, and test images. templates/explore.js moves codes
and shows images; here the sliders are chosen and the files are put together.
"""

import base64
import gzip
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from vaezoo.errors import UserError
from vaezoo.evaluation.table import LatentTable, evaluating
from vaezoo.exporting.onnx_networks import explain_missing_decoder, export_decoder, export_encoder
from vaezoo.figures.style import INACTIVE
from vaezoo.models.base import LatentModel
from vaezoo.reporting.html_page import make_environment, make_policy
from vaezoo.reporting.matched_traversals import Match, correlate_codes, match_latents
from vaezoo.seeds import derive, own_noise

HERE = Path(__file__).parent
RUNTIME = HERE / "onnxruntime_web"
SCRIPT = RUNTIME / "ort.wasm.bundle.min.mjs"
WASM = RUNTIME / "ort-wasm-simd-threaded.wasm.gz"
EXAMPLES = 48  # test images on the page
DRAWS = 64  # draws from the prior
WIDEST = {"normal": 3.0, "uniform": 1.0}  # ends of the sliders, by the prior


@dataclass(frozen=True)
class Explored:
    """A model, a name for people, and the table of its codes, which a run without scores lacks."""

    model: LatentModel
    title: str
    table: LatentTable | None
    data: str = ""  # the identity of the images that the rows of the table belong to

    @property
    def continuous(self) -> int:
        """Return how many latents have a slider."""
        return self.model.latent.width - sum(self.model.latent.categories)

    @property
    def codes(self) -> np.ndarray:
        """Return the codes (N, D) of the table; (0, D) without one."""
        return np.empty((0, self.model.latent.width), np.float32) if self.table is None else self.table.codes

    @property
    def kl(self) -> np.ndarray | None:
        """Return the mean KL of each latent (J,), nats; None without a density of each latent."""
        if self.table is None or self.table.logvars.shape[1] != self.continuous or not self.table.kl_per_dim.size:
            return None
        return self.table.kl_per_dim[: self.continuous]

    @property
    def names(self) -> list[str]:
        """Return the names of the classes; [] without labels."""
        return [] if self.table is None else [str(name) for name in self.table.label_names]


def check_explorable(model: LatentModel) -> None:
    """Raise UserError for a model whose codes do not determine an image."""
    name = type(model).__name__
    reason = explain_missing_decoder(model)
    if reason is None and not model.reconstructs:
        reason = f"the codes of {name} do not determine an image"
    if reason:
        raise UserError(f"{name} has no page of sliders: {reason}.")


def write_page(explored: Sequence[Explored]) -> str:
    """Return the page of one model, or of several side by side, as HTML.

    Raises UserError where a model cannot be exported, and where models have images of
    different shapes.
    """
    for entry in explored:
        check_explorable(entry.model)
    first = explored[0]
    for entry in explored[1:]:
        if entry.model.image_shape != first.model.image_shape:
            raise UserError(
                f"{entry.title} has images of shape {entry.model.image_shape}, {first.title} of shape"
                f" {first.model.image_shape}; models on one page need images of the same shape."
            )
    models = [describe_model(entry) for entry in explored]
    rows = list(describe_rows(explored))
    images, labels = choose_examples(first.table, first.model.image_shape)
    blocks = {"wasm": WASM.read_bytes(), "images": gzip.compress(images.tobytes(), mtime=0)}
    for place, entry in enumerate(explored):
        blocks[f"encoder{place}"] = gzip.compress(export_encoder(entry.model).content, mtime=0)
        blocks[f"decoder{place}"] = gzip.compress(export_decoder(entry.model).content, mtime=0)
    data = {
        "models": models,
        "rows": rows,
        "examples": {"count": len(images), "labels": labels},
        "names": first.names or [str(name) for name in range(first.model.classes or 0)],
    }
    active, folded = ([row for row in rows if row["active"] == is_active] for is_active in (True, False))
    groups = [{"rows": active, "folded": False, "open": True}, {"rows": folded, "folded": True, "open": not active}]
    templates = make_environment(HERE / "templates")
    script = join_scripts()
    return templates.get_template("explore.html").render(
        title=first.title if len(explored) == 1 else f"{len(explored)} models under the same sliders",
        models=models,
        groups=[group for group in groups if group["rows"]],
        inactive=INACTIVE,
        categories=models[0]["categories"],
        classes=models[0]["classes"],
        noisy=any(model["noise"] for model in models),
        data=data,
        blocks={name: base64.b64encode(content).decode() for name, content in blocks.items()},
        css=Markup((HERE / "templates/explore.css").read_text(encoding="utf-8")),
        script=Markup(script),
        policy=make_policy([script]).replace("script-src ", "script-src 'wasm-unsafe-eval' "),
        version=re.search(r"ONNX Runtime Web v([\d.]+)", script)[1],  # type: ignore[index]
        licence=(RUNTIME / "LICENSE").read_text(encoding="utf-8"),
    )


def join_scripts() -> str:
    """Return onnxruntime-web and the script of the page as one, because a page from disk can import no module.

    The names that onnxruntime-web exports become the object `ort`. Without an address of its own it looks for no other
    file.
    """
    runtime = SCRIPT.read_text(encoding="utf-8")
    code, exported = re.fullmatch(r"(.*)export\{([^}]*)\};\s*(?://#.*)?\s*", runtime, re.DOTALL).groups()  # type: ignore[union-attr]
    names = (entry.split(" as ") for entry in exported.split(","))
    ort = ",".join(f"{name}:{local}" for local, name in names)
    page = (HERE / "templates/explore.js").read_text(encoding="utf-8")
    # Both are functions of their own, so that no name of one hides a name of the other.
    for address in ('new URL("ort-wasm-simd-threaded.wasm",import.meta.url).href', "import.meta.url"):
        code = code.replace(address, '""')
    return f"const ort=(()=>{{{code}return{{{ort}}}}})();\n(()=>{{\n{page}}})();"


def describe_model(entry: Explored) -> dict[str, Any]:
    """Return what the page knows of a model, as JSON can hold it."""
    model, latent = entry.model, entry.model.latent
    names_classes = getattr(model, "names_categories", False)
    categories, offset = [], entry.continuous
    for place, count in enumerate(latent.categories):
        is_named = names_classes and place == 0 and len(entry.names) == count
        names = entry.names if is_named else [str(value) for value in range(count)]
        label = "category" if len(latent.categories) == 1 else f"category {place + 1}"
        categories.append({"offset": offset, "names": names, "label": "class" if is_named else label})
        offset += count
    classes = [str(value) for value in range(model.classes or 0)]
    if len(entry.names) == len(classes):
        classes = entry.names
    return {
        "title": entry.title,
        "file": re.sub(r"[^\w=.-]+", "-", entry.title).strip("-") + ".png",
        "shape": list(model.image_shape),
        "categories": categories,
        "classes": classes if model.conditional else None,
        "noise": {"size": latent.noise, "prior": latent.noise_prior} if hasattr(latent, "noise") else None,
        "mean": np.round(entry.codes.mean(axis=0), 4).tolist() if len(entry.codes) else [0.0] * latent.width,
        "draws": draw_prior(model),
    }


def draw_prior(model: LatentModel) -> list[list[float]]:
    """Return codes (DRAWS, D) that are drawn from the prior."""
    with evaluating(model), own_noise(derive(0, "prior samples")):
        codes = model.sample_prior(DRAWS)[:, : model.latent.width]
    return codes.double().numpy().round(4).tolist()


def describe_rows(explored: Sequence[Explored]) -> Iterator[dict[str, Any]]:
    """Yield a slider for each latent of the first model, and then for those of other models that match none of them.

    A slider also moves the latent of each other model whose codes correlate most with its own, the other way round
    where they do so negatively. The latents of a model are in the order of their KL.
    """
    matches = [match_models(explored[0], entry) for entry in explored[1:]]
    place = 0
    for owner, entry in enumerate(explored):
        for latent in map(int, range(entry.continuous) if entry.kl is None else np.argsort(-entry.kl, kind="stable")):
            if owner and latent in {match.place for match in matches[owner - 1].values()}:
                continue
            places: list[dict[str, int] | None] = [None] * len(explored)
            places[owner] = {"latent": latent, "sign": 1}
            if not owner:
                for other, found in enumerate(matches, 1):
                    if match := found.get(latent):
                        places[other] = {"latent": match.place, "sign": -1 if match.is_reversed else 1}
            yield describe_row(entry, latent, place, owner, places)
            place += 1


def describe_row(entry: Explored, latent: int, place: int, owner: int, places: list[Any]) -> dict[str, Any]:
    """Return the slider of a latent of the model number `owner`, which is number `place` on the page."""
    low, high = choose_range(entry, latent)
    step = 10.0 ** math.floor(math.log10((high - low) / 200))
    kl = None if entry.kl is None else float(entry.kl[latent])
    return {
        "place": place,
        "name": f"{latent}" if not owner else f"{latent}-{owner + 1}",
        "label": f"z{latent}" if not owner else f"z{latent} of {owner + 1}",
        "note": "" if kl is None else f"{kl:.2f} nats",
        "active": kl is None or not kl < INACTIVE,
        "low": round(math.floor(low / step) * step, 6),
        "high": round(math.ceil(high / step) * step, 6),
        "step": step,
        "places": places,
    }


def match_models(first: Explored, other: Explored) -> dict[int, Match]:
    """Return the latents of another model that encode what those of the first one encode, by the latents of the first.

    There are none where the two have not encoded the same images.
    """
    if first.table is None or other.table is None or first.data != other.data:
        return {}
    tables = ((entry.table.index, entry.codes[:, : entry.continuous]) for entry in (first, other))  # type: ignore[union-attr]
    r = correlate_codes(*tables)
    return {} if r is None else match_latents(r)


def choose_range(entry: Explored, latent: int) -> tuple[float, float]:
    """Return the ends of a slider: the bulk of the prior and of the codes of the table.

    The codes of an autoencoder have no prior, so that they alone decide.
    """
    prior = getattr(entry.model.latent, "prior", "normal")
    values = entry.codes[:, latent]
    ends = np.quantile(values, [0.005, 0.995]).tolist() if len(values) else []
    has_prior = prior == "uniform" or entry.model.latent.num_params != entry.model.latent.width
    if has_prior or not ends or ends[0] == ends[1]:
        ends += [-WIDEST[prior], WIDEST[prior]]
    return min(ends), max(ends)


def choose_examples(table: LatentTable | None, shape: Sequence[int]) -> tuple[np.ndarray, list[int] | None]:
    """Return test images (E, C, H, W), float32, spread over those of the table, and their labels, if there are any."""
    if table is None or not len(table.examples):
        return np.empty((0, *shape), np.float32), None
    places = np.linspace(0, len(table.examples) - 1, min(EXAMPLES, len(table.examples)), dtype=int)
    labels = table.labels[table.examples[places]].astype(int).tolist() if table.labels.size else None
    return np.ascontiguousarray(table.example_images[places], np.float32), labels
