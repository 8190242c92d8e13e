"""Figures to files, and to SVG that lives inside a page."""

import io
import re

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from calibench.lab.report import style

# Without dates and versions, so that the same numbers give the same bytes.
_SVG_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_PDF_METADATA = {
    "CreationDate": None,
    "ModDate": None,
    "Creator": None,
    "Producer": None,
}

_ADAPTIVE = {
    style.INK: "var(--ink)",
    style.MUTED: "var(--muted)",
    style.GRID: "var(--grid)",
    style.PAPER: "var(--card)",
    style.BLUE: "var(--blue)",
}
_ID = re.compile(r' id="([^"]*)"')
_STYLE = re.compile(r' style="([^"]*)"')
_REFERENCE = re.compile(r'(?:xlink:)?href="#([^"]*)"|url\(#([^)]*)\)')


def svg_bytes(figure: Figure) -> bytes:
    """Return a figure as a standalone SVG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata=_SVG_METADATA, facecolor="white")
    return buffer.getvalue()


def pdf_bytes(figure: Figure) -> bytes:
    """Return a figure as a PDF file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata=_PDF_METADATA, facecolor="white")
    return buffer.getvalue()


def inline_svg(figure: Figure, name: str, label: str) -> Markup:
    """Return a figure as an SVG element for a page that holds several.

    Args:
        figure: What to show. Draw it within `drawing(**INLINE_SETTINGS)`.
        name: Letters, digits and '-'; unique in the page.
        label: What a reader who cannot see the figure is told.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata=_SVG_METADATA)
    text = buffer.getvalue().decode()
    # The XML declaration, the document type and the sizes belong to a file.
    head, body = text[text.index("<svg") :].split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    box = view[0] if view else ""
    body = _STYLE.sub(_as_attributes, _with_own_ids(_compact(body), name))
    for color, variable in _ADAPTIVE.items():
        body = body.replace(color, variable)
    # Written by matplotlib from numbers and names that it escaped; the label by us.
    opening = f'<svg {box} role="img" aria-label="{escape(label)}">'
    return Markup(opening + body)  # noqa: S704 - see above


# Text stays text: it is small, can be selected, and takes the page's typeface.
# Fixed margins put the axes of neighboring panels in line.
INLINE_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "calibench",
    "figure.constrained_layout.use": False,
    "figure.subplot.left": 0.145,
    "figure.subplot.right": 0.985,
    "figure.subplot.bottom": 0.165,
    "figure.subplot.top": 0.91,
}
FILE_SETTINGS = {
    "svg.fonttype": "path",
    "svg.hashsalt": "calibench",
    "font.size": 9,
    "axes.titlesize": 10,
    "lines.linewidth": 1.5,
    "lines.markersize": 4,
}


def _compact(body: str) -> str:
    """Drop comments, needless space, and the style sheet, which would rule the page."""
    body = re.sub(r"<!--.*?-->|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"\s*\n\s*", "\n", body)
    return body.strip()


def _as_attributes(match: re.Match[str]) -> str:
    """Write a style as attributes, which the page's policy does not forbid."""
    pairs = [part.split(":", 1) for part in match[1].split(";") if part.strip()]
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)


def _with_own_ids(body: str, name: str) -> str:
    """Keep the ids that are referred to, under names of their own."""
    used = {one or other for one, other in _REFERENCE.findall(body)}

    def renamed(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    def referred(match: re.Match[str]) -> str:
        target = f"{name}-{match[1] or match[2]}"
        return f"url(#{target})" if match[2] else f'href="#{target}"'

    return _REFERENCE.sub(referred, _ID.sub(renamed, body))
