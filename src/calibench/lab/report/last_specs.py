"""Charts of the last epoch: the gap of every class, and risk against coverage."""

from collections.abc import Mapping, Sequence

import altair as alt

from calibench.lab.report.specs import SHOWN, STAGE, Spec, finished
from calibench.lab.report.style import LossStyle
from calibench.lab.report.vega_style import loss_scales


def class_map(labels: Sequence[str]) -> Spec:
    """Return a heat map: a row for each loss, a column for each class."""
    name = alt.Axis(
        labelLimit=190, minExtent=150, grid=False, ticks=False, domain=False
    )
    rows = (
        alt.Chart(alt.NamedData("classes"))
        .transform_filter(f"{STAGE} && {SHOWN}")
        .transform_calculate(points="100 * datum.gap")
    )
    chart = rows.mark_rect().encode(
        x=alt.X(
            "class:N",
            sort=alt.EncodingSortField("order"),
            title=None,
            axis=alt.Axis(labelAngle=-40, grid=False, ticks=False, domain=False),
        ),
        y=alt.Y("name:N", sort=list(labels), title=None, axis=name),
        color=alt.Color(
            "points:Q",
            # Told apart by all common kinds of color vision.
            scale=alt.Scale(scheme="blueorange", domainMid=0),
            legend=alt.Legend(title=None, orient="top", gradientThickness=9),
        ),
        tooltip=[
            alt.Tooltip("name:N", title="loss"),
            alt.Tooltip("class:N", title="class"),
            alt.Tooltip("points:Q", title="gap (points)", format=".2f"),
            alt.Tooltip("n:Q", title="test examples of it"),
        ],
    )
    return finished(chart.properties(width=300, height=alt.Step(22)))


def risk_coverage(styles: Mapping[str, LossStyle], labels: Sequence[str]) -> Spec:
    """Return the error among the most confident, by their share."""
    looks = loss_scales(styles, labels)
    chart = (
        alt.Chart(alt.NamedData("risk"))
        .transform_filter(f"{STAGE} && {SHOWN}")
        .transform_calculate(share="100 * datum.coverage", error="100 * datum.risk")
        .mark_line(strokeWidth=1.9)
        .encode(
            x=alt.X(
                "share:Q",
                title="coverage (%)",
                scale=alt.Scale(domain=[0, 100]),
                axis=alt.Axis(grid=False),
            ),
            y=alt.Y(
                "error:Q",
                title="error among them (%)",
                axis=alt.Axis(tickCount=6, minExtent=34),
            ),
            color=looks.color,
            strokeDash=looks.dash,
            tooltip=[
                alt.Tooltip("name:N", title="loss"),
                alt.Tooltip("share:Q", title="coverage (%)", format=".1f"),
                alt.Tooltip("error:Q", title="error (%)", format=".2f"),
            ],
        )
    )
    return finished(chart.properties(width=300, height=230))
