"""Make a rule from the type of an annotation: a function that returns what a value must be, in words."""

import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt

from vaezoo.errors import nearest
from vaezoo.ranges import Rule, Schedule


def alternatives(kind: Any) -> list[Any]:
    """Return the types of a union; the type itself where it is none."""
    if get_origin(kind) in (Union, types.UnionType):
        return [part for member in get_args(kind) for part in alternatives(member)]
    return [kind]


def rule_of_type(kind: Any) -> Rule | None:
    """Return the rule that a type stands for; None where it allows every value."""
    members = [member for member in alternatives(kind) if member != Schedule]
    rules = [rule for member in members if (rule := rule_of_member(member))]
    if len(rules) < len(members):
        return None  # One of the alternatives allows every value.
    if len(members) < len(alternatives(kind)):
        numbers = [rule for rule, member in zip(rules, members, strict=True) if member is not type(None)]
        rules.append(accept_schedule(numbers))
    return any_rule(rules)


def any_rule(rules: Sequence[Rule]) -> Rule:
    """Return the rule that one of several must hold."""

    def check(value: Any) -> str | None:
        wanted = [rule(value) for rule in rules]
        if None in wanted:
            return None
        words = [text for text in wanted if text]
        hints = [text for text in words if text.endswith("?")]
        if not hints:
            return ", or ".join(words)
        # The hint stays at the end of the sentence.
        listed, _, hint = hints[0].partition(". ")
        return f"{', or '.join([listed, *(text for text in words if text not in hints)])}. {hint}"

    return check


def is_schedule(value: Any) -> bool:
    """Return whether the value is a node that builds a schedule."""
    return isinstance(value, dict) and "_target_" in value


def accept_schedule(numbers: Sequence[Rule]) -> Rule:
    """Return the rule for a schedule between such numbers, or from or to 0, where the term is switched off."""

    def check(value: Any) -> str | None:
        if not is_schedule(value):
            return "a schedule"
        ends = [value[name] for name in ("value", "start", "end") if is_number(value.get(name))]
        wanted = (rule(end) for end in ends if end != 0 for rule in numbers)
        return next((f"a schedule of {text}" for text in wanted if text), None)

    return check


def rule_of_member(kind: Any) -> Rule | None:
    """Return the rule for a type that is no union."""
    if kind in (Any, object) or kind is Schedule:
        return None
    if kind in (None, type(None)):
        return lambda value: None if value is None else "null"
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        own = [part for part in arguments[1:] if callable(part)]
        if own:
            return own[0]
        return number_rule(arguments[0], arguments[1:])
    if origin is Literal:
        return choice_rule(arguments)
    if kind in (int, float):
        return number_rule(kind, ())
    if kind is bool:
        return lambda value: None if isinstance(value, bool) else "true or false"
    if kind is str:
        return lambda value: None if isinstance(value, str) and value else "a string that is not empty"
    if origin in (list, tuple, Sequence) or origin is Sequence:
        return list_rule(arguments[0] if arguments else Any)
    return None


def is_number(value: Any, *, whole: bool = False) -> bool:
    """Return whether the value is a number, or a whole one; True and False are none."""
    return isinstance(value, int if whole else int | float) and not isinstance(value, bool)


def number_rule(kind: type, metadata: Sequence[Any]) -> Rule:
    """Return the rule for a number within the bounds of `annotated-types`."""
    bounds = [bound for part in metadata for bound in (part if isinstance(part, Interval) else [part])]
    low = next((bound for bound in bounds if isinstance(bound, Ge | Gt)), None)
    high = next((bound for bound in bounds if isinstance(bound, Le | Lt)), None)
    words = "a whole number" if kind is int else "a number"
    if isinstance(low, Ge) and low.ge == 0 and isinstance(high, Le) and kind is float:
        words += f" from 0 to {high.le:g}"
    else:
        lowest = f" of at least {low.ge:g}" if isinstance(low, Ge) else f" above {low.gt:g}" if low else ""
        highest = f"at most {high.le:g}" if isinstance(high, Le) else f"below {high.lt:g}" if high else ""
        words += f"{lowest} and {highest}" if lowest and highest else lowest or (f" {highest}" if highest else "")

    def check(value: Any) -> str | None:
        good = is_number(value, whole=kind is int)
        good = good and (low is None or (value >= low.ge if isinstance(low, Ge) else value > low.gt))
        good = good and (high is None or (value <= high.le if isinstance(high, Le) else value < high.lt))
        return None if good else words

    return check


def choice_rule(allowed: Sequence[Any]) -> Rule:
    """Return the rule for a value of a list."""
    names = [str(value) for value in allowed]

    def check(value: Any) -> str | None:
        # 1 and True are equal, but not the same choice.
        if any(value == option and type(value) is type(option) for option in allowed):
            return None
        hint = nearest(str(value), names)
        return f"one of {', '.join(names)}{f'.{hint}' if hint else ''}"

    return check


def list_rule(kind: Any) -> Rule:
    """Return the rule for a list of values of one type."""
    rule = rule_of_type(kind)

    def check(value: Any) -> str | None:
        if not isinstance(value, list):
            return "a list"
        wanted = next((text for item in value if rule and (text := rule(item))), None)
        return wanted and f"a list, each of {wanted}"

    return check
