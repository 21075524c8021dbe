"""Hand functions the inputs that their parameters name, as pytest hands out fixtures.

class Answers(Inputs):
    @provided(unless="nobody has asked")
    def answer(self) -> int | None:
        '''The answer.'''
        return 42

call(lambda answer, factor=2: factor * answer, Answers())  # 84
"""

import inspect
from collections.abc import Callable
from copy import copy
from functools import cached_property
from typing import Any, TypeVar

T = TypeVar("T")


class Missing(LookupError):
    """An input that a function needs is absent; the message is the reason."""


class Input(cached_property[T]):
    """A method of Inputs without arguments, computed once, when it is first asked for; None means that it is absent."""

    unless = ""


def provided(unless: str = "") -> Callable[[Callable[[Any], T]], Input[T]]:
    """Make an input of a method; `unless` is the reason why it may be absent, as users read it."""

    def make(method: Callable[[Any], T]) -> Input[T]:
        made = Input(method)
        made.unless = unless
        return made

    return make


class Inputs:
    """Inputs by name: the `provided` methods of a subclass, and the values that the constructor takes."""

    def __init__(self, **fixed: Any) -> None:
        self.fixed = fixed

    def __contains__(self, name: str) -> bool:
        return name in self.fixed or isinstance(getattr(type(self), name, None), Input)

    def find(self, parameter: inspect.Parameter) -> Any:
        """Return the input for a parameter of a function; None where it is absent."""
        name = parameter.name
        if name in self.fixed:
            return self.fixed[name]
        return getattr(self, name) if name in self else None

    def explain(self, parameter: inspect.Parameter) -> str:
        """Return the reason why the input for a parameter is absent."""
        name = parameter.name
        return getattr(getattr(type(self), name, None), "unless", "") or f"there is no {name}"

    def replace(self, **fixed: Any) -> "Inputs":
        """Return the same inputs with other values for some of them."""
        other = copy(self)
        other.fixed = {**self.fixed, **fixed}
        return other


def find_arguments(function: Callable[..., Any], inputs: Inputs) -> dict[str, Any]:
    """Return the inputs that the parameters of a function name; only these are computed.

    A parameter with a default, or bound by `functools.partial`, is optional. Raise Missing where another one is absent.
    A generator `rng` is the caller's to add.
    """
    arguments = {}
    for name, parameter in inspect.signature(function).parameters.items():
        value = inputs.find(parameter)
        if value is not None:
            arguments[name] = value
        elif parameter.default is inspect.Parameter.empty and name != "rng":
            raise Missing(inputs.explain(parameter))
    return arguments


def call(function: Callable[..., Any], inputs: Inputs, **more: Any) -> Any:
    """Return the result of a function for the inputs that its parameters name, and `more` arguments."""
    return function(**find_arguments(function, inputs), **more)


def constants(function: Callable[..., Any], inputs: Inputs) -> dict[str, Any]:
    """Return the parameters of a function that are no inputs, with their values: the constants of its protocol."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in inputs and name != "rng" and parameter.default is not inspect.Parameter.empty
    }
