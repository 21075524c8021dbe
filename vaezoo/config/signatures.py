"""Read the parameters and facts of a class or function from its source text, without importing it.

A configuration names classes by `_target_`. Their constructors state the types, the choices and the defaults of their
parameters, and attributes of the class state facts, such as `needs_labels = True`. Both are read with `ast`, so that a
slip on the command line is answered before torch is loaded. A user's own class is read in the same way. What cannot be
read accepts every value: the constructor then has the last word.
"""

import ast
import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

from vaezoo.errors import nearest

LIGHT = ("vaezoo.ranges", "vaezoo.config.")  # modules of aliases that import nothing heavy
# Their files are large, and their classes neither state facts nor take keywords of ours.
LIBRARIES = ("torch", "pytorch_lightning", "lightning", "numpy")
MAKE_NAMES = {
    "__getattr__",
    "globals",
    "exec",
    "__path__",
}  # words of modules that have names besides those in the file
REQUIRED = object()  # the default of a parameter that has none


@dataclass(frozen=True)
class Parameter:
    """The type of a parameter, `Any` where it cannot be read, and its default."""

    type: Any
    default: Any = REQUIRED


@dataclass(frozen=True)
class Signature:
    """The parameters that a class or function takes by name; `is_open` where it takes others, too."""

    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    is_open: bool = True


@dataclass(frozen=True)
class Definition:
    """A class or function in a file."""

    file: Path
    module: str
    node: ast.stmt


BUILTINS = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "Annotated": Annotated,
    "Any": Any,
    "Literal": Literal,
    "Optional": Optional,
    "Union": Union,
    "Callable": Callable,
    "Mapping": Mapping,
    "Sequence": Sequence,
}


@cache
def find_definition(target: str) -> Definition | None:
    """Return where a dotted name is defined, also when the module of that name imports it from another one."""
    names = target.split(".")
    for end in range(len(names) - 1, 0, -1):
        module = ".".join(names[:end])
        file = find_file(module)
        if file is not None:
            return find_in_file(file, module, names[end]) if end == len(names) - 1 else None
    return None


def find_spec(top: str) -> ModuleSpec | None:
    """Return where Python finds a module or package without a dot in its name; None where it finds none."""
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None


def find_folders(top: str) -> list[str]:
    """Return the folders of a package without a dot in its name; a namespace package has several."""
    spec = find_spec(top)
    return list(spec.submodule_search_locations or ()) if spec else []


def forget_files() -> None:
    """Forget which files were found or missing, because Python's path has changed."""
    for function in (find_definition, find_file, read_signature, read_facts):
        function.cache_clear()


def describe_missing(target: str) -> str | None:
    """Return what is wrong with a dotted name that certainly means nothing; None where it may mean something.

    Only the place of modules and the words of their files are looked at, so a name that code makes is never refused.
    """
    names = target.split(".")
    if not all(name.isidentifier() for name in names) or len(names) < 2:
        return "this is no dotted name of a class or function, such as my_package.models.MyVAE."
    if find_spec(names[0]) is None:
        return (
            f"Python finds no {names[0]}. It looks in the folder of the command, beside the folder of --config-dir, and"
            " among the installed packages."
        )
    for end in range(len(names) - 1, 0, -1):
        file = find_file(".".join(names[:end]))
        if file is not None:
            return describe_missing_name(file, ".".join(names[:end]), names[end])
    return None


def describe_missing_name(file: Path, module: str, name: str) -> str | None:
    """Return that a module has no such class, function or submodule; None where it may have it."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    words = set(re.findall(r"\w+", text))
    beside = {path.name.partition(".")[0] for path in file.parent.iterdir()} if file.name == "__init__.py" else set()
    if name in words | beside or words & MAKE_NAMES or re.search(r"import\s*\(?\s*\*", text):
        return None
    return f"{module} has no {name}.{nearest(name, [*index_names(file), *beside])}"


@cache
def find_file(module: str) -> Path | None:
    """Return the file of a module, found by its place, because importing its package would run that."""
    top, *names = module.split(".")
    spec = find_spec(top)
    if spec is None:
        return None
    if not names:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in find_folders(top):
        place = Path(folder, *names)
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


@cache
def parse(file: Path) -> ast.Module:
    """Return the syntax tree of a file; an empty one where it cannot be read."""
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


@cache
def index_names(file: Path) -> Mapping[str, ast.stmt]:
    """Return the statement at the top of a file, or below its `if` and `try`, that gives each name its meaning."""
    names: dict[str, ast.stmt] = {}
    top = parse(file).body
    for node in [*top, *(inner for outer in top if isinstance(outer, ast.If | ast.Try) for inner in outer.body)]:
        match node:
            case ast.ClassDef() | ast.FunctionDef():
                names.setdefault(node.name, node)
            case ast.Assign(targets=[ast.Name(id=alias)]):
                names.setdefault(alias, node)
            case ast.ImportFrom():
                for imported in node.names:
                    names.setdefault(imported.asname or imported.name, node)
    return names


def find_in_file(file: Path, module: str, name: str) -> Definition | None:
    """Return the class, function or alias of that name in a file, or in the file that it imports it from."""
    node = index_names(file).get(name)
    if not isinstance(node, ast.ImportFrom):
        return None if node is None else Definition(file, module, node)
    source = resolve_module(node, module, file)
    library = source.partition(".")[0]
    if not source or (library in LIBRARIES and library != module.partition(".")[0]):
        return None
    original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
    return find_definition(f"{source}.{original}")


def resolve_module(node: ast.ImportFrom, module: str, file: Path) -> str:
    """Return the module that an import statement names, with the dots in front of it resolved."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


class Names(dict):
    """The names in annotations of a file: ours, aliases of the file or of one that it imports; others are `Any`."""

    def __init__(self, definition: Definition) -> None:
        super().__init__(BUILTINS)
        self.definition = definition

    def __missing__(self, name: str) -> Any:
        place = self.definition
        alias = find_in_file(place.file, place.module, name)
        if alias is None or not isinstance(alias.node, ast.Assign):
            return Any
        if alias.module.startswith(LIGHT):
            return vars(importlib.import_module(alias.module))[name]
        return read_type(alias.node.value, alias)


def read_type(annotation: ast.expr | None, definition: Definition) -> Any:
    """Return the type that an annotation means; `Any` where it names what cannot be read."""
    if annotation is None:
        return Any
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return Any
    try:
        return eval(compile(ast.Expression(annotation), "annotation", "eval"), {"__builtins__": {}}, Names(definition))
    except Exception:  # An annotation may be any expression; one that cannot be read allows every value.
        return Any


@cache
def read_signature(target: str) -> Signature:
    """Return the signature of the class or function that a dotted name means."""
    definition = find_definition(target)
    if definition is None:
        return Signature()
    if isinstance(definition.node, ast.FunctionDef):
        return signature_of(definition.node, definition)
    return signature_of_class(definition) if isinstance(definition.node, ast.ClassDef) else Signature()


def signature_of_class(definition: Definition) -> Signature:
    """Return the parameters of the constructor, with those that it passes on to the base class by `**`."""
    node = definition.node
    assert isinstance(node, ast.ClassDef)
    constructor = next(
        (part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None
    )
    if constructor is not None and not passes_keywords_on(constructor):
        return signature_of(constructor, definition, skip=1)
    bases = [read_signature(base) for base in base_names(definition)]
    inherited = {name: value for base in reversed(bases) for name, value in base.parameters.items()}
    is_open = not bases or any(base.is_open for base in bases)
    if constructor is not None:
        own = signature_of(constructor, definition, skip=1)
        return Signature({**inherited, **own.parameters}, is_open)
    decorators = {ast.unparse(decorator).partition("(")[0].rpartition(".")[2] for decorator in node.decorator_list}
    if "dataclass" in decorators:
        return Signature({**inherited, **read_fields(definition)}, is_open and bool(bases))
    return Signature(inherited, is_open)


def passes_keywords_on(constructor: ast.FunctionDef) -> bool:
    """Return whether a constructor passes its further keyword arguments on to that of the base class."""
    others = constructor.args.kwarg
    calls = [node for node in ast.walk(constructor) if isinstance(node, ast.Call)]
    return others is not None and any(
        ast.unparse(call.func) == "super().__init__"
        and any(argument.arg is None and ast.unparse(argument.value) == others.arg for argument in call.keywords)
        for call in calls
    )


def signature_of(node: ast.FunctionDef, definition: Definition, skip: int = 0) -> Signature:
    """Return the parameters of a function after the first `skip`."""
    listed = [*node.args.posonlyargs, *node.args.args]
    missing: list[Any] = [None] * (len(listed) - len(node.args.defaults))
    pairs = [*zip(listed, [*missing, *node.args.defaults], strict=True)][skip:]
    pairs += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    parameters = {
        argument.arg: Parameter(read_type(argument.annotation, definition), read_default(default))
        for argument, default in pairs
    }
    others = read_keywords(node.args.kwarg, definition) if node.args.kwarg else {}
    return Signature({**parameters, **(others or {})}, others is None)


def read_keywords(argument: ast.arg, definition: Definition) -> dict[str, Parameter] | None:
    """Return the parameters that `**style: Unpack[LayerStyle]` stands for; None where other ones are taken, too."""
    match argument.annotation:
        case ast.Subscript(value=ast.Name(id="Unpack"), slice=ast.Name(id=name)):
            place = find_in_file(definition.file, definition.module, name)
            if place is not None and isinstance(place.node, ast.ClassDef):
                return {name: Parameter(kind.type, ...) for name, kind in read_fields(place).items()}
    return None


def read_fields(definition: Definition) -> dict[str, Parameter]:
    """Return the annotated fields of a dataclass or a typed dictionary."""
    assert isinstance(definition.node, ast.ClassDef)
    return {
        part.target.id: Parameter(read_type(part.annotation, definition), read_default(part.value))
        for part in definition.node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }


def read_default(node: ast.expr | None) -> Any:
    """Return a default that is a plain value; `...` stands for any other."""
    if node is None:
        return REQUIRED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...


def base_names(definition: Definition) -> list[str]:
    """Return the dotted names of the base classes, as far as the file says where they come from."""
    node = definition.node
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    names = [base.id for base in bases if isinstance(base, ast.Name)]
    places = [find_in_file(definition.file, definition.module, name) for name in names]
    return [f"{place.module}.{place.node.name}" for place in places if place and isinstance(place.node, ast.ClassDef)]


@cache
def read_facts(target: str) -> Mapping[str, Any]:
    """Return the attributes of a class that are plain values, such as `needs_labels = True`, inherited ones included.

    `requires` is joined with that of the base classes, because each class adds conditions of its own.
    """
    definition = find_definition(target)
    if definition is None or not isinstance(definition.node, ast.ClassDef):
        return {}
    facts: dict[str, Any] = {}
    for base in reversed(base_names(definition)):
        facts |= read_facts(base)
    inherited = facts.get("requires", {})
    for node in definition.node.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                if (fact := read_default(value)) is not ...:
                    facts[name] = fact
    if inherited and facts.get("requires") is not inherited:
        facts["requires"] = {**inherited, **facts["requires"]}
    return facts
