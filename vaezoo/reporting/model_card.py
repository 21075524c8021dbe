"""The model card of a shared run: README.md in the form that the Hugging Face hub reads.

It says what the model is for, what it was trained on and for how long, how it scores beside codes without information,
and whom to cite.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from vaezoo.config.titles import describe_run
from vaezoo.config.trust import name_trusted
from vaezoo.evaluation.closing_table import ARROWS, ORDER, describe_floor, describe_protocol, group_metrics
from vaezoo.evaluation.scores import Scores
from vaezoo.metrics.directions import REPEATED
from vaezoo.models.base import LatentModel

TITLE_PICTURES = ("traversals", "class_grid", "reconstructions", "samples")  # the first that is there heads the card
INTENDED_USE = """\
Research and teaching on disentangled representations: to encode images, to look at what each latent changes, and to
compare scores. The model knows only images like those that it was trained on. Nothing follows from it about people, and
its images are no evidence of anything."""


def write_card(
    model: LatentModel,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    scores: Scores,
    sentences: Sequence[str],
    pictures: Sequence[str],
    name: str,
    license: str | None,
) -> str:
    """Return the model card as Markdown with its head as YAML.

    `config` and `environment` are those that are shared, `sentences` say what the scores mean, `pictures` are the names
    of the pictures, and `name` is that of the file.
    """
    title = describe_run(DictConfig(config))
    parts = [
        f"---\n{yaml.safe_dump(make_head(config, scores, title, license), sort_keys=False, allow_unicode=True)}---",
        f"# {title}",
        *show_picture(pictures),
        describe_use(model, config, name),
        f"## Intended use\n\n{INTENDED_USE}",
        describe_training(model, config, environment),
        describe_results(scores, sentences),
        describe_citation(model),
    ]
    return "\n\n".join(parts) + "\n"


def make_head(config: Mapping[str, Any], scores: Scores, title: str, license: str | None) -> dict[str, Any]:
    """Return the entries by which the hub files a model: library, license, tags and scores."""
    model = config["model"]["_target_"].rpartition(".")[2]
    dataset = str(config["dataset"]["name"])
    directed = {key for key, direction in scores.directions.items() if direction.group != REPEATED}
    results = [
        {"type": key.removeprefix("eval/"), "value": value}
        for key, value in scores.values.items()
        if key in directed and isfinite(value)
    ]
    task = {"type": "feature-extraction", "name": "codes of images"}
    index = {"task": task, "dataset": {"type": dataset, "name": dataset}, "metrics": results}
    return {
        **({"license": license} if license else {}),
        "library_name": "vaezoo",
        "pipeline_tag": "feature-extraction",
        "tags": ["vaezoo", "variational-autoencoder", "disentanglement", model.lower(), dataset],
        **({"model-index": [{"name": title, "results": [index]}]} if results else {}),
    }


def show_picture(pictures: Sequence[str]) -> list[str]:
    """Return the line that shows the picture at the head of the card; none without pictures."""
    names = [f"figures/{stem}.{kind}" for stem in TITLE_PICTURES for kind in ("png", "gif")]
    picture = next((name for name in names if name in pictures), None)
    return [f"![{picture.split('/')[1].partition('.')[0]}]({picture})"] if picture else []


def describe_use(model: LatentModel, config: Mapping[str, Any], name: str) -> str:
    """Return how to open the file, encode images and score the model again."""
    channels, height, width = model.image_shape
    option = name_trusted(dict(config))
    trust = f", trust={yaml.safe_load(option.strip().strip(chr(39)).partition('=')[2])!r}" if option else ""
    labels = ", labels" if model.conditional else ""
    return f"""## Use

```python
import vaezoo

run = vaezoo.load("{name}"{trust})  # which executes nothing in the file
codes = run.encode(images{labels})  # (N, {channels}, {height}, {width}) in [0, 1] to (N, {model.latent.width})
images = run.decode(codes{labels})
```

`python -m vaezoo.evaluate run={name} out=scores metric=full{option}` scores it again, on the same data;
`dataset.path=...` says where they lie."""


def describe_training(model: LatentModel, config: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    """Return a list of what the model was trained on, for how long, and with what."""
    packages = environment.get("packages", {})
    git = environment.get("git") or {}
    changed = " and changes" if git.get("changed") else ""
    data = ", ".join(f"{key} {value}" for key, value in dict(environment.get("data", {})).items())
    rate = OmegaConf.select(DictConfig(config), "optimizer.lr")
    entries = {
        "model": describe_class(model),
        "data": f"{config['dataset']['name']}{f' ({data})' if data else ''}",
        "images": f"{int(model.train_images)} of shape {tuple(model.image_shape)} in the training split",
        "budget": f"{int(model.batches)} batches of {config['dataset'].get('batch_size')} images",
        "optimiser": f"{config['optimizer']['_target_'].rpartition('.')[2]}, learning rate {rate}",
        "seed": config["seed"],
        "device": environment.get("device", "unknown"),
        "versions": ", ".join(f"{package} {version}" for package, version in packages.items()),
        "commit": f"{git['commit']}{changed}" if git else "",
    }
    lines = [f"- {name}: {value}" for name, value in entries.items() if value != ""]
    return "## Training\n\n" + "\n".join(lines) + "\n\nAll values are in `.hydra/config.yaml`."


def describe_class(model: LatentModel) -> str:
    """Return the class of a model with the first sentence of its description."""
    text = (type(model).__doc__ or "").strip().partition("\n\n")[0]
    return f"`{type(model).__name__}`{f', {text[0].lower()}{text[1:]}' if text else ''}".replace("\n", " ")


def describe_results(scores: Scores, sentences: Sequence[str]) -> str:
    """Return the table of the scores with their floors and protocols, scores of disentanglement first."""
    if not scores.values:
        return "## Scores\n\nThere are no scores of these weights."
    groups = group_metrics(scores)
    lines = ["| score | value | noise, constant codes | protocol |", "|---|---|---|---|"]
    for key in sorted(scores.metrics, key=lambda key: ORDER.index(groups[scores.metrics[key]])):
        arrow = f"{ARROWS[scores.directions[key].better]} " if key in scores.directions else ""
        deviation = scores.values.get(f"{key}/sd")
        number = f"{scores.values[key]:.4g}{'' if deviation is None else f' ± {deviation:.2g}'}"
        cells = (
            f"{arrow}{key.removeprefix('eval/')}",
            f"{number}{' (floor)' if scores.is_at_floor(key) else ''}",
            describe_floor(scores.floors.get(key)),
            describe_protocol(scores, scores.metrics[key]),
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    legend = "↑ higher is better, ↓ lower is better. A score at its floor is no better than that of such codes."
    return "\n\n".join(["## Scores", *sentences, "\n".join(lines), legend])


def describe_citation(model: LatentModel) -> str:
    """Return which publication to cite."""
    paper = f"If you use the model, cite its paper:\n\n> {model.paper}\n\n" if model.paper else ""
    return f"## Citation\n\n{paper}It was trained with vaezoo."
