"""Scripts of the page, and the policy that lets these and no others run."""

import base64
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files

import vl_convert
from markupsafe import Markup

# The one whose schema altair writes.
_VEGA_LITE = "6.4"


@cache
def charts_script() -> Markup:
    """Return Vega, Vega-Lite and Vega-Embed as one script that asks for no network."""
    made: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=_VEGA_LITE
    )
    return _closed(made)


def own_script(name: str) -> Markup:
    """Return a text that lies beside the page's template."""
    folder = files("calibench.lab.report") / "templates"
    return _closed((folder / name).read_text(encoding="utf-8"))


def own_style() -> Markup:
    """Return the style sheet of the page."""
    return own_script("report.css")


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return a Content-Security-Policy: only these run, and nothing is loaded.

    Expressions of the charts are interpreted, so that no text becomes code.
    """
    parts = [
        "default-src 'none'",
        f"script-src {_sources(scripts)}",
        f"style-src {_sources(styles)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(parts)


def _sources(texts: Sequence[str]) -> str:
    hashes = [base64.b64encode(sha256(t.encode()).digest()).decode() for t in texts]
    return " ".join(f"'sha256-{each}'" for each in hashes) or "'none'"


def _closed(script: str) -> Markup:
    """Keep a script from ending its own element."""
    text = script.replace("</script", "<\\/script")
    return Markup(text)  # noqa: S704 - shipped with calibench, nothing of a user's
