"""The interactive reliability diagrams, one for each loss, as Vega-Lite."""

from collections.abc import Mapping, Sequence

import altair as alt

from calibench.lab.report.specs import SHOWN, STAGE, Spec, finished
from calibench.lab.report.style import LossStyle
from calibench.lab.report.vega_style import MUTED, PAPER, loss_scales

_FACET = 168
# Where the distribution of confidence stands, below an accuracy of 0.
_SHARE_FLOOR, _SHARE_HEIGHT = -0.42, 0.34


def reliability_grid(styles: Mapping[str, LossStyle], labels: Sequence[str]) -> Spec:
    """Return a reliability diagram for each loss, above how confidence is spread."""
    looks = loss_scales(styles, labels)
    across = alt.X(
        "lo:Q",
        title="confidence",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(values=[0, 0.5, 1], grid=False),
    )
    up = alt.Y(
        "chance_lo:Q",
        title="accuracy",
        scale=alt.Scale(domain=[_SHARE_FLOOR, 1], nice=False),
        axis=alt.Axis(values=[0, 0.5, 1], titleAnchor="end"),
    )
    # Without data of their own: that of the whole is what the facets share out.
    bins = (
        alt.Chart()
        .transform_filter(f"{STAGE} && {SHOWN} && datum.epoch == epoch")
        .transform_calculate(
            ground=f"{_SHARE_FLOOR}",
            top=f"{_SHARE_FLOOR} + {_SHARE_HEIGHT} * datum.share",
            outside="datum.accuracy < datum.chance_lo || "
            "datum.accuracy > datum.chance_hi",
            chance="format(datum.chance_lo, '.3f') + ' to ' + "
            "format(datum.chance_hi, '.3f')",
            mean="datum.confidence",
        )
    )
    tooltip = [
        alt.Tooltip("name:N", title="loss"),
        alt.Tooltip("n:Q", title="test examples"),
        alt.Tooltip("confidence:Q", title="mean confidence", format=".3f"),
        alt.Tooltip("accuracy:Q", format=".3f"),
        alt.Tooltip("chance:N", title="by chance (95%)"),
    ]
    diagonal = (
        alt.Chart(alt.InlineData([{"x": 0}, {"x": 1}]))
        .mark_line(color=MUTED, strokeWidth=1)
        .encode(x="x:Q", y="x:Q")
    )
    chance = bins.mark_rect(color=MUTED, opacity=0.28).encode(
        x=across, x2="hi:Q", y=up, y2="chance_hi:Q", tooltip=tooltip
    )
    spread = bins.mark_rect(opacity=0.75).encode(
        x=across,
        x2="hi:Q",
        y="ground:Q",
        y2="top:Q",
        color=looks.color,
        tooltip=tooltip,
    )
    gaps = bins.mark_rule(strokeWidth=1.6).encode(
        x="confidence:Q", y="mean:Q", y2="accuracy:Q", color=looks.color
    )
    dots = bins.mark_point(strokeWidth=1.5, opacity=1, clip=False).encode(
        x="confidence:Q",
        y="accuracy:Q",
        size=alt.Size(
            "share:Q", scale=alt.Scale(domain=[0, 1], range=[18, 220]), legend=None
        ),
        color=looks.color,
        fill=alt.condition("datum.outside", looks.color_of_loss, alt.value(PAPER)),
        tooltip=tooltip,
    )
    text = (
        bins.transform_aggregate(
            ece="max(ece)", temperature="max(temperature)", groupby=["loss", "name"]
        )
        .transform_calculate(
            said="'ECE ' + format(100 * datum.ece, '.2f') + '%' + "
            "(isValid(datum.temperature) ? '   T* ' + "
            "format(datum.temperature, '.2f') : '')"
        )
        .mark_text(align="left", baseline="top", fontSize=10.5, color=MUTED)
        .encode(
            x=alt.XDatum(0.02, type="quantitative"),
            y=alt.YDatum(0.985, type="quantitative"),
            text="said:N",
        )
    )
    layered = alt.layer(diagonal, chance, spread, gaps, dots, text)
    chart = layered.properties(
        width=_FACET, height=int(_FACET * 1.25), data=alt.NamedData("bins")
    ).facet(
        facet=alt.Facet(
            "name:N",
            sort=list(labels),
            title=None,
            header=alt.Header(
                labelFontSize=11.5, labelAnchor="start", labelLimit=_FACET
            ),
        ),
        columns=4,
    )
    return finished(chart)
