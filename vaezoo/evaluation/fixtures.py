"""Calls a function with the arguments that its parameters name, as pytest hands out fixtures."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any


class Missing(LookupError):
    """What the function needs is not there; the message names it."""


def call(function: Callable[..., Any], fixtures: Mapping[str, Callable[[], Any]]) -> Any:
    """`function` with every fixture that a parameter of it names; only those are computed.

    A parameter with a default, or already bound by `functools.partial`, is optional. A fixture that returns None is
    not there.
    """
    arguments = {}
    for name, parameter in inspect.signature(function).parameters.items():
        bound = parameter.default is not inspect.Parameter.empty
        value = fixtures[name]() if name in fixtures else None
        if value is not None:
            arguments[name] = value
        elif not bound:
            raise Missing(name)
    return function(**arguments)


def constants(function: Callable[..., Any], fixtures: Collection[str]) -> dict[str, Any]:
    """The remaining parameters of `function` and their values: the constants of its protocol."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in fixtures and parameter.default is not inspect.Parameter.empty
    }
