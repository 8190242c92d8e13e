"""The interactive charts, as Vega-Lite: what each draws of the rows that the page has.

A chart is of one model. Its rows, and what a reader chose (`_SIGNALS`), come from the
page's script, so that one slider moves all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from calibench.lab.report.style import LossStyle
from calibench.lab.report.vega_style import CONFIG, MUTED, PAPER, loss_scales

Spec = dict[str, Any]

_SIGNALS: Mapping[str, Any] = {
    "metric": "top_label_ece",
    "label": "ECE (%)",
    "scale": 100,
    "digits": ".2f",
    "after": 0,
    "epoch": 1,
    "low": 0,
    "high": 1,
    "hidden": [],
}
SHOWN = "indexof(hidden, datum.loss) < 0"
STAGE = "datum.after == after"
_END = "isValid(datum[metric + '_{0}']) ? scale * datum[metric + '_{0}'] : null"
_PANEL_HEIGHT = 250
_STRIP_HEIGHT = 92


def over_training(styles: Mapping[str, LossStyle], labels: Sequence[str]) -> Spec:
    """Return a metric of the menu over epochs: a panel of Figure 1."""
    looks = loss_scales(styles, labels)
    axis = alt.Y(
        "mean:Q",
        title=None,
        axis=alt.Axis(format=".3~g", tickCount=6, minExtent=34),
        scale=alt.Scale(
            domainMin=alt.expr("low"),
            domainMax=alt.expr("high"),
            nice=False,
            zero=False,
        ),
    )
    epoch = _epochs(alt.Axis(tickMinStep=1, grid=False), "epoch")
    floor = (
        alt.Chart(alt.NamedData("floors"))
        .transform_filter(STAGE)
        .transform_calculate(floor="scale * datum[metric]", mean="max(0, low)")
        .transform_filter("isValid(datum[metric])")
        .mark_area(color=MUTED, opacity=0.2, clip=True, tooltip=None)
        .encode(x=epoch, y=axis, y2="floor:Q")
    )
    rows = (
        alt.Chart(alt.NamedData("rows"))
        .transform_filter(f"{STAGE} && {SHOWN} && isValid(datum[metric])")
        .transform_calculate(
            value="scale * datum[metric]",
            inner=_END.format("from"),
            outer=_END.format("to"),
        )
    )
    sound = _over_seeds(rows.transform_filter("!datum.diverged"))
    band = sound.mark_area(opacity=0.16, clip=True).encode(
        x=epoch, y=axis.copy(), y2="highest:Q", color=looks.color
    )
    band.encoding.y.shorthand = "lowest:Q"
    line = sound.mark_line(strokeWidth=2, clip=True).encode(
        x=epoch, y=axis, color=looks.color, strokeDash=looks.dash
    )
    told = {
        "value": "format(datum.mean, digits)",
        "range": "datum.seeds > 1 ? format(datum.lowest, digits) + ' to ' "
        "+ format(datum.highest, digits) : 'one seed'",
        "interval": "isValid(datum.inner) ? format(datum.inner, digits) + ' to ' "
        "+ format(datum.outer, digits) : 'at the slider\\'s stops'",
    }
    points = (
        sound.transform_calculate(**told)
        .mark_point(size=42, strokeWidth=1.5, clip=True, opacity=1)
        .encode(
            x=epoch,
            y=axis,
            color=looks.color,
            fill=looks.fill,
            shape=looks.shape,
            tooltip=[
                alt.Tooltip("name:N", title="loss"),
                alt.Tooltip("epoch:Q", title="epoch"),
                alt.Tooltip("value:N", title="mean over seeds"),
                alt.Tooltip("range:N", title="lowest to highest seed"),
                alt.Tooltip("interval:N", title="95% for other test examples"),
            ],
        )
    )
    stray = rows.transform_filter("datum.diverged")
    strays = stray.mark_line(strokeWidth=1, clip=True).encode(
        x=epoch, y=axis.copy(), color=looks.color, detail="seed:N"
    )
    strays.encoding.y.shorthand = "value:Q"
    chart = alt.layer(floor, band, strays, line, points, _at_epoch()).properties(
        width=300, height=_PANEL_HEIGHT, title=_named_by_metric()
    )
    return finished(chart)


def course(styles: Mapping[str, LossStyle], labels: Sequence[str]) -> Spec:
    """Return test NLL, error, temperature and mean confidence over the same epochs."""
    looks = loss_scales(styles, labels)
    strips = []
    for place, (field, title, scale) in enumerate(_STRIPS):
        is_last = place == len(_STRIPS) - 1
        epoch = _epochs(
            alt.Axis(tickMinStep=1, grid=False, labels=is_last),
            "epoch" if is_last else None,
        )
        value = alt.Y(
            "mean:Q",
            title=title,
            axis=alt.Axis(tickCount=4, minExtent=44, format=".3~g"),
            scale=alt.Scale(zero=False, nice=True),
        )
        rows = (
            alt.Chart(alt.NamedData("rows"))
            .transform_filter(
                f"datum.after == 0 && {SHOWN} && isValid(datum.{field}) "
                "&& !datum.diverged && datum.epoch > early"
            )
            .transform_calculate(value=f"{scale} * datum.{field}")
        )
        sound = _over_seeds(rows)
        band = sound.mark_area(opacity=0.15).encode(
            x=epoch, y=value.copy(), y2="highest:Q", color=looks.color
        )
        band.encoding.y.shorthand = "lowest:Q"
        line = sound.mark_line(strokeWidth=1.8).encode(
            x=epoch,
            y=value,
            color=looks.color,
            strokeDash=looks.dash,
            tooltip=[alt.Tooltip("name:N", title="loss")],
        )
        strips.append(
            alt.layer(band, line, _at_epoch()).properties(
                width=300, height=_STRIP_HEIGHT
            )
        )
    return finished(alt.vconcat(*strips, spacing=8))


_STRIPS = (
    ("nll", "test NLL (nats)", 1),
    ("error_rate", "test error (%)", 100),
    ("temperature", "T*", 1),
    ("mean_confidence", "confidence (%)", 100),
)


def before_and_after(styles: Mapping[str, LossStyle], labels: Sequence[str]) -> Spec:
    """Return each loss's metric as trained and after its temperature, on one line."""
    looks = loss_scales(styles, labels)
    across = alt.X(
        "mean:Q",
        title=None,
        axis=alt.Axis(format=".3~g", tickCount=6),
        scale=alt.Scale(zero=True),
    )
    name = alt.Y(
        "name:N",
        sort=list(labels),
        title=None,
        axis=alt.Axis(
            labelLimit=190, minExtent=150, grid=False, ticks=False, domain=False
        ),
    )
    rows = (
        alt.Chart(alt.NamedData("rows"))
        .transform_filter(
            f"{SHOWN} && isValid(datum[metric]) && datum.epoch == epoch "
            "&& !datum.diverged"
        )
        .transform_calculate(value="scale * datum[metric]")
        .transform_aggregate(mean="mean(value)", groupby=["loss", "name", "after"])
    )
    floor = (
        alt.Chart(alt.NamedData("floors"))
        .transform_filter("datum.epoch == epoch && isValid(datum[metric])")
        .transform_calculate(floor="scale * datum[metric]")
        .transform_aggregate(floor="max(floor)")
        .transform_calculate(mean="0")
        .mark_rect(color=MUTED, opacity=0.18)
        .encode(x=across, x2="floor:Q")
    )
    line = rows.mark_line(strokeWidth=1.8).encode(
        x=across, y=name, color=looks.color, detail="loss:N", order="after:O"
    )
    dots = (
        rows.transform_calculate(
            shown="format(datum.mean, digits)",
            stage="datum.after ? 'after temperature' : 'as trained'",
        )
        .mark_point(size=70, strokeWidth=1.8, opacity=1)
        .encode(
            x=across,
            y=name,
            color=looks.color,
            shape=looks.shape,
            fill=alt.condition("datum.after", looks.color_of_loss, alt.value(PAPER)),
            tooltip=[
                alt.Tooltip("name:N", title="loss"),
                alt.Tooltip("stage:N"),
                alt.Tooltip("shown:N", title="mean over seeds"),
            ],
        )
    )
    return finished(
        alt.layer(floor, line, dots).properties(
            width=300, height=alt.Step(22), title=_named_by_metric()
        )
    )


def _epochs(axis: alt.Axis, title: str | None) -> alt.X:
    # Room for the marks of the first and last epoch.
    scale = alt.Scale(nice=False, zero=False, padding=7)
    return alt.X("epoch:Q", title=title, axis=axis, scale=scale)


def _named_by_metric() -> alt.Title:
    return alt.Title(
        alt.expr("label"), anchor="start", fontSize=12, fontWeight="normal",
        color=MUTED, offset=8,
    )  # fmt: skip


def _over_seeds(rows: alt.Chart) -> alt.Chart:
    return rows.transform_aggregate(
        mean="mean(value)",
        lowest="min(value)",
        highest="max(value)",
        seeds="count()",
        inner="mean(inner)",
        outer="mean(outer)",
        groupby=["loss", "name", "epoch"],
    )


def _at_epoch() -> alt.Chart:
    return (
        alt.Chart(alt.InlineData([{}]))
        .mark_rule(color=MUTED, strokeDash=[3, 3])
        .encode(x=alt.XDatum(alt.expr("epoch"), type="quantitative"))
    )


def finished(chart: Any) -> Spec:  # noqa: ANN401 - any of altair's charts
    """Return a chart with the signals that a reader moves, in the page's look."""
    signals = [alt.param(name=name, value=value) for name, value in _SIGNALS.items()]
    early = alt.param(name="early", value=0)
    made: Spec = chart.add_params(*signals, early).to_dict()
    del made["$schema"]  # an address, which nothing here asks for
    return made | {
        "config": CONFIG,
        "background": None,
        "padding": {"left": 2, "top": 2, "right": 12, "bottom": 2},
    }
