"""The page: one HTML file that opens from disk, sorts and filters where scripts run, and reads the same on paper.

`sections` prepares plain data and templates/ holds the HTML. Jinja escapes every text, because names, values and
messages come from run folders, which may be another person's.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vaezoo.reporting.report_data import Report
from vaezoo.reporting.sections import SECTIONS, describe_header

HERE = Path(__file__).parent
PLOTLY = HERE / "plotly" / "plotly-basic.min.js"


def make_environment(folder: Path) -> Environment:
    """Return the templates in a folder with their filters."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["counted"] = count_things
    # JSON has no NaN, and a browser would refuse the data of a chart with one.
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment


def count_things(number: int, thing: str) -> str:
    """Return a number with its noun, such as "2 runs"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def write_page(report: Report) -> str:
    """Return the page as HTML with its style, scripts and pictures inside."""
    sections = [
        {"id": name, "heading": heading, "template": f"{name}.html", **data}
        for name, heading, describe in SECTIONS
        if (data := describe(report)) is not None
    ]
    has_charts = any(section.get("groups") for section in sections)
    scripts = [
        file.read_text(encoding="utf-8") for file in ([PLOTLY] if has_charts else []) + [HERE / "templates/page.js"]
    ]
    return (
        make_environment(HERE / "templates")
        .get_template("page.html")
        .render(
            header=describe_header(report),
            sections=sections,
            css=Markup((HERE / "templates/page.css").read_text(encoding="utf-8")),
            scripts=[Markup(script) for script in scripts],
            policy=make_policy(scripts),
        )
    )


def make_policy(scripts: Sequence[str]) -> str:
    """Return the content security policy of the page: it loads nothing, and runs these scripts alone."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none';"
        " form-action 'none'"
    )
