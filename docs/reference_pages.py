"""Write the pages of reference, docs/reference/*.md: commands and configuration keys, and what Python code can use.

The texts are those of `--help` (vaezoo/config/reference.py) and the docstrings. Nothing is imported but the
configuration, so that a site can be made without PyTorch.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import vaezoo
from vaezoo.config import reference
from vaezoo.config.reference import GROUPS, Key, Option
from vaezoo.config.signatures import Definition, find_definition, parse

PACKAGE = Path(vaezoo.__file__).parent
CODE = {  # the page of each part of the package, its title and its modules
    "metrics": ("Metrics in Python", ["metrics"]),
    "models": ("Models in Python", ["models"]),
    "losses": ("Losses, latents and likelihoods in Python", ["losses", "latents", "likelihoods.py"]),
}
TITLES = {"commands": "Commands and their keys", "groups": "Choices and their keys", "python": "The names of vaezoo"}
WIDTH = 100  # of a signature on one line


def write_pages(folder: Path) -> None:
    """Write all pages into a folder. One that has not changed is left alone, so that Sphinx does not read it again."""
    folder.mkdir(exist_ok=True)
    pages = make_pages()
    for path in folder.glob("*.md"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def make_pages() -> dict[str, str]:
    """Return the texts of all pages by their names, in the order of the navigation."""
    groups = {f"group_{group}": write_group(group) for group in GROUPS}
    code = {name: write_modules(title, list_files(parts)) for name, (title, parts) in CODE.items()}
    return {"commands": write_commands(), "groups": write_groups(), **groups, "python": write_names(), **code}


def list_entries() -> dict[str, str]:
    """Return the titles of the pages that the navigation lists, by their names; those of groups are below groups.md."""
    return {**TITLES, **{name: title for name, (title, _) in CODE.items()}}


# ---- commands and keys -------------------------------------------------------------------------------------------


def write_commands() -> str:
    """Return the page of all commands with their keys."""
    parts = [
        f"# {TITLES['commands']}",
        "A key is set by `KEY=VALUE` on the command line. The same is printed by `--help` after each command.",
    ]
    for name in reference.list_commands():
        option = reference.read_option("", name)
        title = "papers" if name == "results" else f"vaezoo.{name}"
        lines, _, text = option.text.partition("\n\n")
        parts += [
            f"## python -m {title}",
            to_markdown(reference.read_purpose(name)),
            fence(lines, "bash"),
            escape(text),
        ]
        parts += [write_keys(keys) for keys in option.keys.values() if keys]
    for file in sorted(PACKAGE.glob("*/__main__.py")):
        name = file.parent.name
        parts += [f"## python -m vaezoo.{name}", to_markdown(reference.read_purpose(f"{name}.__main__"))]
    return join(parts)


def write_groups() -> str:
    """Return the page that lists the groups, and below which their pages are."""
    lines = [f"- [{group}](group_{group}.md): {GROUPS[group]}" for group in GROUPS]
    tree = "\n".join(f"{group} <group_{group}>" for group in GROUPS)
    return join(
        [
            f"# {TITLES['groups']}",
            "A choice is made by `GROUP=OPTION`, such as `model=dipvae`; its keys are then set by `KEY=VALUE`.",
            "\n".join(lines),
            f"```{{toctree}}\n:hidden:\n\n{tree}\n```",
        ]
    )


def write_group(group: str) -> str:
    """Return the page of a group: its options, each with its keys, and once the keys that several of them have."""
    options = [reference.read_option(group, name) for name in reference.list_options(group)]
    parts = [f"# {group}", f"`{group}=OPTION` chooses {GROUPS[group]}."]
    if group == "experiment":
        for option in options:
            parts += [f"## {group}={option.name}", escape(option.text)]
        return join(parts)
    shared: dict[str, Sequence[Key]] = {}
    if reference.COMMON in reference.list_files(group):
        shared |= reference.read_option(group, reference.COMMON).keys
    own = {option.place for option in options}
    for option in options:
        shared |= {place: keys for place, keys in option.keys.items() if keys and place not in {*own, *shared}}
        parts += write_option(option)
    for place, keys in shared.items():
        parts += [f"## Keys of {place}", write_keys(keys)]
    return join(parts)


def write_option(option: Option) -> list[str]:
    """Return the section of an option in parts; keys that it shares with others are a link."""
    paper = f"*{escape(option.paper)}*" if option.paper else ""
    parts = [f"## {option.group}={option.name}", escape(option.text), paper, write_keys(option.keys[option.place])]
    if option.choices:
        parts.insert(3, f"It chooses {', '.join(f'`{choice}`' for choice in option.choices)}.")
    titles = [link_title(place) for place, keys in option.keys.items() if keys and place != option.place]
    return [*parts, f"It also has the keys of {', '.join(titles)}."] if titles else parts


def link_title(place: str) -> str:
    """Return a link to the section of a file, which is an option of the group or is shared by several."""
    group, _, name = place.partition("/")
    anchor = f"keys-of-{place.replace('/', '')}" if name.startswith("base/") else f"{group}{name.replace('/', '')}"
    return f"[{name}](#{anchor})"


def write_keys(keys: Sequence[Key]) -> str:
    """Return a list of keys."""
    return "\n".join(f"- `{key.line}`: {escape(key.description)}" for key in keys)


# ---- code --------------------------------------------------------------------------------------------------------


def write_names() -> str:
    """Return the page of the names of `import vaezoo`."""
    parts = [f"# {TITLES['python']}", to_markdown(ast.get_docstring(parse(PACKAGE / "__init__.py")) or "")]
    for name in vaezoo.__all__:
        definition = find_definition(f"vaezoo.{name}")
        assert definition is not None, name
        parts += write_definition(definition, f"vaezoo.{name}", level=2)
    return join(parts)


def list_files(parts: Sequence[str]) -> list[Path]:
    """Return the files of folders and modules of the package."""
    return [
        path for part in parts for path in ([PACKAGE / part] if part.endswith(".py") else (PACKAGE / part).glob("*.py"))
    ]


def write_modules(title: str, files: Sequence[Path]) -> str:
    """Return a page of modules: the docstring of each, and what it defines."""
    parts = [f"# {title}"]
    for file in sorted(files):
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        definitions = [Definition(file, module, node) for node in parse(file).body if is_public(node)]
        if definitions:
            parts += [f"## {module}", to_markdown(ast.get_docstring(parse(file)) or "")]
            for definition in definitions:
                parts += write_definition(definition, definition.node.name, level=3)
    return join(parts)


def is_public(node: ast.stmt) -> bool:
    """Return whether a statement defines a function or class with a docstring that others may use."""
    is_definition = isinstance(node, ast.FunctionDef | ast.ClassDef)
    return is_definition and not node.name.startswith("_") and ast.get_docstring(node) is not None


def write_definition(definition: Definition, title: str, level: int) -> list[str]:
    """Return a function or class in parts: how it is called, its docstring, and its methods."""
    node = definition.node
    parts = [f"{'#' * level} {title}", fence(write_signature(node)), to_markdown(ast.get_docstring(node) or "")]
    for method in node.body if isinstance(node, ast.ClassDef) else ():
        if is_public(method) and isinstance(method, ast.FunctionDef):
            parts += [f"{'#' * (level + 1)} {title}.{method.name}", fence(write_signature(method))]
            parts.append(to_markdown(ast.get_docstring(method) or ""))
    return parts


def write_signature(node: ast.stmt) -> str:
    """Return how a function is defined, without its body; for a class its head and its constructor."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        constructors = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        head = f"class {node.name}({bases})" if bases else f"class {node.name}"
        return "\n".join(
            [head, *(re.sub("^", "    ", write_signature(part), flags=re.MULTILINE) for part in constructors)]
        )
    assert isinstance(node, ast.FunctionDef)
    kinds = [decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)]
    head = "".join(f"@{kind}\n" for kind in kinds if kind in ("property", "classmethod", "staticmethod")) + "def "
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{head}{node.name}({ast.unparse(node.args)}){returns}"
    if len(line) <= WIDTH:
        return line
    return f"{head}{node.name}(\n{''.join(f'    {part},{chr(10)}' for part in split_parameters(node.args))}){returns}"


def split_parameters(arguments: ast.arguments) -> Iterator[str]:
    """Yield the parameters of a function as they are written."""
    listed = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(listed) - len(arguments.defaults))
    for argument, default in zip(listed, [*missing, *arguments.defaults], strict=True):
        yield write_parameter(argument, default)
    if arguments.vararg:
        yield f"*{ast.unparse(arguments.vararg)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield write_parameter(argument, default)
    if arguments.kwarg:
        yield f"**{ast.unparse(arguments.kwarg)}"


def write_parameter(argument: ast.arg, default: ast.expr | None) -> str:
    """Return a parameter with its annotation and its default."""
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default else "")


# ---- Markdown ----------------------------------------------------------------------------------------------------


def join(parts: Sequence[str]) -> str:
    """Return a page of these paragraphs."""
    return "\n\n".join(filter(None, parts)) + "\n"


def fence(text: str, language: str = "python") -> str:
    """Return a block of code."""
    return f"```{language}\n{text}\n```"


def escape(text: str) -> str:
    """Return a text in which signs that would be Markdown are what they are; backticks mark code."""
    return re.sub(r"([*<])", r"\\\1", text)


def to_markdown(docstring: str) -> str:
    """Return a docstring as Markdown: examples as blocks of code; indented lines are such blocks already."""
    paragraphs = []
    for paragraph in docstring.split("\n\n"):
        if paragraph.startswith(">>>"):
            paragraphs.append(fence(re.sub(r"  # doctest: .*", "", paragraph), "pycon"))
        else:
            paragraphs.append(paragraph if paragraph.startswith("    ") else escape(paragraph))
    return "\n\n".join(paragraphs)
