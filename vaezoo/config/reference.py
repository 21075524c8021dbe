"""Describe what can be set: every command, group, option and key, for `--help` and for the site of the documentation.

Nothing is written twice. The first comment of a yaml file describes the option, the comment of a key describes the key,
the constructor of the class that `_target_` names says which values it takes, and its docstring describes keys that
have no comment. Nothing is imported.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vaezoo.config.compose import list_groups
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import leaves
from vaezoo.config.plugins import list_files, list_roots
from vaezoo.config.signatures import base_names, find_definition, find_file, parse, read_facts
from vaezoo.config.values import HYDRA_KEYS, find_node, find_rule, is_target
from vaezoo.errors import UserError, nearest

# What is chosen by GROUP=OPTION, in the order of importance.
GROUPS = {
    "model": "what is minimised",
    "dataset": "the images",
    "network": "encoder, decoder and critic; the data set chooses one that fits",
    "latent": "prior and posterior of the codes; the model chooses",
    "likelihood": "the density of pixels; data set and model choose",
    "metric": "which scores are computed: a choice such as fast, or a single score",
    "figure": "which pictures are drawn",
    "trainer": "CPU, GPU, or several processes",
    "optimizer": "how weights move",
    "lr_schedule": "how the learning rate changes",
    "extra": "terms that are added to the loss of any model",
    "schedule": "how the weight of a term changes, such as +schedule@model.beta=linear",
    "callbacks": "what else happens during the training",
    "logger": "where losses and scores are recorded",
    "launcher": "where the jobs of a study run",
    "sweep": "which jobs a study has",
    "experiment": "a whole configuration, such as a table of a paper in one of three sizes",
}
WEIGHT = "WEIGHT"  # stands for the key that a schedule replaces, such as model.beta
COMMON = "base/options"  # the file with the keys of a group that every choice has
STRUCTURE = (*HYDRA_KEYS, "defaults", "hydra")


@dataclass(frozen=True)
class Key:
    """A key of the configuration with its default, what it means, and which values it takes, as texts."""

    name: str
    value: str
    comment: str
    wanted: str

    @property
    def line(self) -> str:
        """The key and its default as on the command line."""
        return f"{self.name}={self.value}"

    @property
    def description(self) -> str:
        """What the key means and which values it takes."""
        return "; ".join(filter(None, (self.comment.rstrip("."), self.wanted and f"must be {self.wanted}")))


@dataclass(frozen=True)
class Option:
    """An option of a group, which is a yaml file: its comment, the options that it chooses, and its keys.

    `keys` are by the file that has them: the option itself first, then the files that it is based on.
    """

    group: str
    name: str
    text: str
    paper: str
    choices: tuple[str, ...]
    keys: Mapping[str, tuple[Key, ...]]

    @property
    def place(self) -> str:
        """The file, relative to a configuration folder and without its ending."""
        return f"{self.group}/{self.name}" if self.group else self.name


# ---- the comments of a file --------------------------------------------------------------------------------------


@cache
def parse_yaml(text: str) -> Any:
    """Return the content of a yaml file, which nobody may change; None for an empty one."""
    return yaml.safe_load(text)


def read_head(text: str) -> str:
    """Return the comment with which a file begins, without the line that names a package."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" ").rstrip())
    return "\n".join(line for line in lines if not line.startswith("@package")).strip()


@cache
def read_comments(text: str) -> dict[str, str]:
    """Return the comment of each key of a yaml file by its dotted name: behind its value, or in the lines above it.

    The first comment of a file belongs to the file.
    """
    lines = text.splitlines()
    head = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    comments = {}
    for name, key, value in walk_keys(yaml.compose(text)):
        is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
        end = key.end_mark if is_block or value.end_mark.line == len(lines) else value.end_mark
        tail = re.fullmatch(r"\s*:?\s*#\s*(.*)", lines[end.line][end.column :])
        above = key.start_mark.line
        while above > head and re.fullmatch(rf"\s{{{key.start_mark.column}}}#.*", lines[above - 1]):
            above -= 1
        before = [line.strip().lstrip("# ") for line in lines[above : key.start_mark.line]]
        if comment := tail[1].strip() if tail else " ".join(before):
            comments[name] = comment
    return comments


def walk_keys(node: Any, above: str = "") -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yield the dotted name, the key and the value of each entry of a yaml document and of the entries in it."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{above}.{key.value}" if above else str(key.value)
            yield name, key, value
            yield from walk_keys(value, name)


# ---- files and what they are based on ----------------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """A yaml file at the place in the configuration where its keys appear, such as "model"."""

    place: str
    package: str

    @property
    def text(self) -> str:
        """The content. Raises UserError where there is no such file."""
        paths = [path for root in list_roots() if (path := root / f"{self.place}.yaml").is_file()]
        if not paths:
            raise UserError(f"{self.place}.yaml: there is no such file.")
        return paths[0].read_text(encoding="utf-8")

    @property
    def content(self) -> dict[str, Any]:
        """The keys and values at their places, without those of Hydra."""
        content = parse_yaml(self.text) or {}
        own: dict[str, Any] = {key: value for key, value in content.items() if key not in ("defaults", "hydra")}
        for name in reversed(self.package.split(".") if self.package else ()):
            own = {name: own}
        return own

    @property
    def comments(self) -> dict[str, str]:
        """The comments of the keys by their dotted names in the configuration."""
        return {f"{self.package}.{name}".lstrip("."): text for name, text in read_comments(self.text).items()}


def open_file(place: str, package: str | None = None) -> File:
    """Return a file at its package: the one given, or that of its first line, or the first folder of its place."""
    if package is None:
        header = re.search(r"^# @package (\S+)", File(place, "").text)
        group = place.partition("/")[0] if "/" in place else ""
        package = header[1].replace("_global_", "").strip(".") if header else group
        package = WEIGHT if package == "schedule" else package
    return File(place, package)


def read_defaults(file: File) -> tuple[list[File], list[str]]:
    """Return the files that a file is based on, and the options that it chooses, such as "network=convh"."""
    bases, choices = [], []
    for entry in (parse_yaml(file.text) or {}).get("defaults", []):
        line = f"{entry}" if isinstance(entry, str) else "=".join(str(part) for part in next(iter(entry.items())))
        name, _, option = line.removeprefix("override ").partition("=")
        name, _, package = name.partition("@")
        if name.lstrip("/").startswith("hydra/") or name == "_self_" or option == "None":
            continue
        if isinstance(entry, str) and not line.startswith("override "):
            place = name.lstrip("/") if name.startswith("/") else f"{file.place.rpartition('/')[0]}/{name}"
            bases.append(open_file(place, file.package if package == "_here_" else package or None))
        elif name.lstrip("/") == "schedule":
            choices.append(f"schedule@{file.package}.{package}={option}")
        elif "/base" not in name:
            choices.append(f"{name.lstrip('/')}={option}")
    return bases, choices


def list_bases(file: File) -> list[File]:
    """Return the files that a file is based on, directly or by another one, each once, the nearest first."""
    bases, _ = read_defaults(file)
    return list(dict.fromkeys([*reversed(bases), *(far for near in reversed(bases) for far in list_bases(near))]))


def merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested dictionaries joined; where both have a value, that of the second."""
    both = {key: merge(first[key], second[key]) for key in first if are_nodes(first[key], second.get(key))}
    return {**first, **second, **both}


def are_nodes(*values: Any) -> bool:
    """Return whether all values are dictionaries."""
    return all(isinstance(value, dict) for value in values)


# ---- options and their keys --------------------------------------------------------------------------------------


def read_option(group: str, name: str) -> Option:
    """Return an option of a group, or with group "" a command. Raises UserError where there is no such file."""
    file = open_file(f"{group}/{name}" if group else name)
    bases = list_bases(file)
    container: dict[str, Any] = {}
    for base in reversed(bases):
        container = merge(container, base.content)
    container = merge(container, file.content)
    described: set[str] = set()
    keys: dict[str, tuple[Key, ...]] = {}
    for number, part in enumerate([file, *bases]):
        comments: dict[str, str] = {}
        for other in reversed([part, *bases[number:]]):
            comments |= other.comments
        names = [key for key, _ in leaves(part.content) if is_setting(key) and key not in described]
        described.update(names)
        keys[part.place] = tuple(describe_key(container, key, comments) for key in names)
    target = find_node(container, f"{group}._target_")
    paper = read_facts(target).get("paper", "") if isinstance(target, str) else ""
    return Option(group, name, read_head(file.text), paper, tuple(read_defaults(file)[1]), keys)


def is_setting(key: str) -> bool:
    """Return whether a dotted key is a value that users set, and neither a key of Hydra nor an empty group."""
    return not set(key.split(".")) & set(STRUCTURE) and key not in GROUPS


def describe_key(container: Mapping[str, Any], name: str, comments: Mapping[str, str]) -> Key:
    """Return a key of a configuration, described by its own comment, or else by what comes nearest.

    That is the docstring of the class that takes it, the comment of the same key in another option where no class of
    ours takes it, or the comment of the node that holds it.
    """
    value = find_node(container, name)
    comment = comments.get(name) or describe_reference(str(value))
    parent, _, parameter = name.rpartition(".")
    target = find_target(container, parent)
    comment = comment or find_sentence(read_docstrings(target), parameter)
    if not comment and not target.startswith("vaezoo."):
        comment = find_in_group(name)
    comment = comment or comments.get(parent, "")
    return Key(name, write_value(value), comment, describe_values(container, name, comment))


def describe_reference(text: str) -> str:
    """Return which keys a value follows, such as "follows dataset.shape"; "" for a value without references."""
    names = re.findall(r"\$\{([\w.]+)\}", text)
    return f"follows {', '.join(names)}" if names else "computed" if "${" in text else ""


def find_target(container: Mapping[str, Any], key: str) -> str:
    """Return the dotted name of the class that the node at a dotted key builds; "" where it builds none."""
    node = find_node(container, key)
    return node["_target_"] if isinstance(node, dict) and is_target(node) else ""


def find_in_group(name: str) -> str:
    """Return the comment of a key in the first option of its group that has one; "" where none has."""
    name = re.sub(r"^model\.optimizers\.\w+\.", "optimizer.", name)
    group = name.partition(".")[0]
    comments = (open_file(f"{group}/{option}").comments.get(name) for option in list_files(group))
    return next(filter(None, comments), "")


class NoValue:
    """A value that no rule accepts, so that the rule says what it wants."""

    def __str__(self) -> str:
        return ""


def describe_values(container: Mapping[str, Any], name: str, comment: str) -> str:
    """Return which values a key takes, in words; "" where that is unknown, or where default or comment shows it."""
    rule = find_rule(container, name)
    wanted = (rule(NoValue()) or "") if rule else ""
    choices = wanted.removeprefix("one of ").split(", ")
    is_listed = wanted.startswith("one of ") and all(re.search(rf"\b{re.escape(text)}\b", comment) for text in choices)
    says_nothing = wanted == "true or false" or wanted.startswith("a string that is not empty")
    return "" if is_listed or says_nothing else wanted


def write_value(value: Any) -> str:
    """Return a value as the command line takes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(write_value, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{write_value(part)}' for key, part in value.items())}}}"
    return str(value)


@cache
def read_docstrings(target: str) -> str:
    """Return the docstrings of a class or function and of the base classes of a class; "" where there are none."""
    definition = find_definition(target) if target else None
    if definition is None or not isinstance(definition.node, ast.ClassDef | ast.FunctionDef):
        return ""
    own = ast.get_docstring(definition.node) or ""
    bases = base_names(definition) if isinstance(definition.node, ast.ClassDef) else []
    return "\n\n".join([own, *map(read_docstrings, bases)])


def find_sentence(docstring: str, parameter: str) -> str:
    """Return the first sentence of a docstring that names a parameter in backticks, without its full stop."""
    text = " ".join(docstring.split())
    sentences = re.split(r"(?<=[.;]) (?=[A-Z`])", text)
    return next((line.rstrip(".;") for line in sentences if re.search(rf"`{re.escape(parameter)}\b", line)), "")


# ---- the answer to --help ----------------------------------------------------------------------------------------

MORE = """\
--help GROUP          lists the options of a group:              --help model
--help GROUP=OPTION   describes an option and its keys:          --help model=dipvae
--help KEY            describes a key, or those that begin so:   --help trainer.engine
--cfg job             prints the whole configuration of a command line, and starts nothing
--hydra-help          lists the flags of Hydra"""


def answer_help(command: str, words: Sequence[str]) -> str:
    """Return the answer to `--help` with these words: on the command, or on each word.

    Raises UserError for a word that is no group, no option and no key.
    """
    return "\n\n".join(describe_word(word) for word in words) or describe_command(command)


def describe_word(word: str) -> str:
    """Return what a word means: a group, an option of a group, or keys, also with a value and with signs in front."""
    name, _, option = word.lstrip("+~").partition("=")
    group = name.partition("@")[0]
    if group in list_groups():
        if option and option != "null":
            return "\n\n".join(write_option(read_option(group, part)) for part in check_options(group, option))
        return write_group(group)
    keys = list_keys(name)
    if not keys:
        known = [*GROUPS, *(key.name for option in list_all() for keys in option.keys.values() for key in keys)]
        raise UserError(f"--help {word}: there is no such group, option or key.{nearest(name, known)}")
    return "\n\n".join(f"{write_keys([key])}\n      in {', '.join(places)}" for key, places in keys.items())


def check_options(group: str, text: str) -> list[str]:
    """Return the options that a text such as "fast" or "[fast,score/irs]" names.

    Raises UserError for one that does not exist.
    """
    names = [name.strip() for name in text.strip("[]").split(",")]
    known = list_files(group)
    for name in names:
        if name not in known:
            raise UserError(
                f"{group}={name}: there is no such {group}.{nearest(name, known)} --help {group} lists all."
            )
    return names


def list_options(group: str) -> list[str]:
    """Return the options of a group; files in base/ are parts of options."""
    return [name for name in list_files(group) if not name.startswith("base/")]


def list_commands() -> list[str]:
    """Return the names of the commands that have a configuration, which are the files at the top."""
    return sorted((path.stem for path in Path(DIRECTORY).glob("*.yaml")), key=lambda name: (name != "train", name))


def list_all() -> Iterator[Option]:
    """Yield every command and every option of every group, except experiments, which only set keys of others."""
    for command in list_commands():
        yield read_option("", command)
    for group in (group for group in GROUPS if group != "experiment"):
        for name in [*filter(COMMON.__eq__, list_files(group)), *list_options(group)]:
            yield read_option(group, name)


def list_keys(name: str) -> dict[Key, list[str]]:
    """Return the keys of that name, or with that beginning, and the files that have them with equal values."""
    keys: dict[Key, list[str]] = {}
    for option in list_all():
        for place, parts in option.keys.items():
            for key in parts:
                if f"{key.name}.".startswith(f"{name}.") and place not in keys.setdefault(key, []):
                    keys[key].append(place)
    return keys


def describe_command(name: str) -> str:
    """Return what a command does, its groups and its keys."""
    option = read_option("", name)
    defaults = dict(choice.split("=", 1) for choice in option.choices)
    groups = [group for group in GROUPS if group in defaults or name == "train"]
    lines = [f"  {f'{group}={defaults.get(group, str())}':<22}{GROUPS[group]}" for group in groups]
    parts = [read_purpose(name), option.text]
    if groups:
        parts += ["Groups and their defaults, which GROUP=OPTION changes:", "\n".join(lines)]
    parts.append("Keys and their defaults, which KEY=VALUE changes:")
    parts += [write_keys(keys) for keys in option.keys.values() if keys]
    return "\n\n".join([*parts, MORE] if groups else parts)


def read_purpose(command: str) -> str:
    """Return the docstring of a command's module; "" for one outside of the package."""
    file = find_file(f"vaezoo.{command}")
    return (ast.get_docstring(parse(file)) or "") if file else ""


def write_group(group: str) -> str:
    """Return the options of a group, each with the first line of its comment, and the keys that all of them have."""
    lines = []
    for name in list_options(group):
        title, _, _ = read_head(open_file(f"{group}/{name}").text).partition("\n")
        lines.append(f"  {name:<22}{title}")
    parts = [f"{group}: {GROUPS.get(group, 'a group')}", "\n".join(lines)]
    if COMMON in list_files(group):
        parts += ["Keys with every choice:", *map(write_keys, read_option(group, COMMON).keys.values())]
    return "\n\n".join(parts)


def write_option(option: Option) -> str:
    """Return an option, its comment and its keys as text."""
    parts = [
        f"{option.group}={option.name}",
        textwrap.indent("\n".join(filter(None, [option.text, option.paper])), "  "),
    ]
    if option.choices:
        parts.append(f"  It chooses {', '.join(option.choices)}.")
    for place, keys in option.keys.items():
        if keys:
            parts.append(write_keys(keys) if place == option.place else f"Keys of {place}:\n\n{write_keys(keys)}")
    return "\n\n".join(parts)


def write_keys(keys: Sequence[Key]) -> str:
    """Return keys as text: key=default on a line, and below it what it means and which values it takes."""
    describe = textwrap.TextWrapper(width=110, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join("\n".join([f"  {key.line}", *describe.wrap(key.description)]) for key in keys)
