"""The charts of the page: which quantities, with what beside them, as inline SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from matplotlib.figure import Figure

from calibench.lab.report.curves import (
    Panel,
    View,
    curves_figure,
    draw_panel,
    panels,
    shared_limits,
)
from calibench.lab.report.judged import Judged
from calibench.lab.report.reliability import draw_reliability, reliability
from calibench.lab.report.results import (
    ECE,
    ECE_SCALED,
    NLL,
    TEMPERATURE,
    TRUE_ERROR,
    Quantity,
    RunResult,
    StudyResults,
)
from calibench.lab.report.style import (
    LossStyle,
    draw_sample,
    drawing,
    loss_styles,
)
from calibench.lab.report.summary import (
    CONFIDENCE_GAP,
    ERROR_RATE,
    NLL_CALIBRATION,
    NLL_REFINEMENT,
    FinalRow,
)
from calibench.lab.report.svg import (
    FILE_SETTINGS,
    INLINE_SETTINGS,
    inline_svg,
    pdf_bytes,
    svg_bytes,
)
from calibench.lab.report.truth import Pair, draw_pairs, pairs
from calibench.lab.report.wording import decimal, model_label, percent
from calibench.predictions import Predictions

_POINTS = 72  # an inch
_PANEL_SIZE = (345 / _POINTS, 270 / _POINTS)
_DIAGRAM_SIZE = (212 / _POINTS, 252 / _POINTS)
_DIAGRAM_MARGINS = {
    "figure.subplot.left": 0.2,
    "figure.subplot.right": 0.96,
    "figure.subplot.top": 0.965,
}
_SAMPLE_SIZE = (34 / _POINTS, 12 / _POINTS)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Panels side by side, one a model.

    Attributes:
        key: Unique in the page.
        caption: What is drawn and how to read it.
    """

    key: str
    title: str
    caption: str
    panels: tuple[Markup, ...]


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """The reliability of one run, as trained and after temperature scaling."""

    loss: str
    seed: int
    before: Markup
    after: Markup | None
    temperature: str


@dataclass(frozen=True)
class Charts:
    """Draws everything that the page and the files show.

    Attributes:
        labels: The name of each loss.
    """

    results: StudyResults
    labels: Mapping[str, str]

    @property
    def styles(self) -> dict[str, LossStyle]:
        """The look of each loss."""
        return loss_styles(self.results.losses)

    def figure1(self) -> tuple[bytes, bytes]:
        """Return Figure 1 as an SVG and a PDF file."""
        of, view, _ = self._panels(ECE, _VIEWS["ece"], with_floor=True)
        with drawing(**FILE_SETTINGS):
            figure = curves_figure(of, view, self.styles, self.labels)
            return svg_bytes(figure), pdf_bytes(figure)

    def samples(self) -> dict[str, Markup]:
        """Return a piece of each loss's line, for legends."""
        return {
            loss: self._sample(f"sample-{place}", loss)
            for place, loss in enumerate(self.styles)
        }

    def over_training(self, key: str, title: str, caption: str) -> Chart:
        """Draw one quantity of the menu over epochs."""
        quantity, with_floor = _QUANTITIES[key], key == "ece"
        view = self._with_facts(key)
        of, view, beyond = self._panels(quantity, view, with_floor=with_floor)
        if beyond is not None:
            unit = "%" if view.scale == 100 else ""
            caption += (
                " Early epochs beyond the axis are cut off; the highest value is "
                f"{decimal(beyond, 1)}{unit}."
            )
        return Chart(
            key=key,
            title=title,
            caption=caption,
            panels=tuple(
                self._drawn(f"{key}-{place}", panel, view)
                for place, panel in enumerate(of)
            ),
        )

    def truth(self, rows: Sequence[FinalRow]) -> tuple[Markup, ...]:
        """Draw ECE beside the true error, a panel a model."""
        by_model = {model: pairs(rows, model) for model in self.results.models}
        every = [max(p.ece, p.true_error) for ps in by_model.values() for p in ps]
        limit = 108 * max(every, default=1.0)
        return tuple(
            self._truth_panel(f"truth-{place}", model, by_model[model], limit)
            for place, model in enumerate(by_model)
            if by_model[model]
        )

    def diagrams(self, judged: Sequence[Judged]) -> dict[str, list[Diagram]]:
        """Draw the reliability diagrams of each model: the first seed of each loss."""
        found: dict[str, list[Diagram]] = {model: [] for model in self.results.models}
        seen = set()
        for place, each in enumerate(judged):
            cell = (each.run.model, each.run.loss)
            if cell not in seen:
                seen.add(cell)
                found[each.run.model].append(self._diagram(f"diagram-{place}", each))
        return {model: diagrams for model, diagrams in found.items() if diagrams}

    def _panels(
        self, quantity: Quantity, view: View, *, with_floor: bool
    ) -> tuple[list[Panel], View, float | None]:
        of = panels(self.results, quantity, with_floor=with_floor)
        limits, beyond = shared_limits(of, view)
        return of, replace(view, limits=limits), beyond

    def _with_facts(self, key: str) -> View:
        facts, view = self.results.dataset.get("facts", {}), _VIEWS[key]
        if key == "nll" and "best_nll" in facts:
            return replace(view, lines={"best possible": facts["best_nll"]})
        if key == "error" and "bayes_accuracy" in facts:
            return replace(view, lines={"best possible": 1 - facts["bayes_accuracy"]})
        return view

    def _drawn(self, name: str, panel: Panel, view: View) -> Markup:
        with drawing(**INLINE_SETTINGS):
            figure = Figure(figsize=_PANEL_SIZE)
            draw_panel(figure.subplots(), panel, view, self.styles)
            return inline_svg(figure, name, self._panel_text(panel, view))

    def _panel_text(self, panel: Panel, view: View) -> str:
        ends = [
            f"{self.labels[curve.loss]} {decimal(view.scale * value.mean, 2)} "
            f"(epoch {epoch})"
            for curve in panel.curves
            for epoch, value in list(curve.values.items())[-1:]
        ]
        told = "; ".join(ends) or "nothing measured"
        return f"{model_label(panel.model)}, {view.label}, last values: {told}."

    def _truth_panel(
        self, name: str, model: str, of: Sequence[Pair], limit: float
    ) -> Markup:
        told = "; ".join(
            f"{self.labels[p.loss]}: ECE {percent(p.ece)}, true {percent(p.true_error)}"
            for p in of
        )
        with drawing(**INLINE_SETTINGS):
            height = 64 + 38 * len(of)
            figure = Figure(figsize=(_PANEL_SIZE[0], height / _POINTS))
            # The margins are in points: the height depends on the number of losses.
            room = (0.02, 44 / height, 0.96, (height - 64) / height)
            axes = figure.add_axes(room)
            draw_pairs(axes, of, self.styles, self.labels, limit)
            axes.set_title(model_label(model))
            return inline_svg(figure, name, f"{model_label(model)}: {told}.")

    def _diagram(self, name: str, each: Judged) -> Diagram:
        loss = each.run.loss
        temperature = each.run.value(each.epoch, TEMPERATURE)
        after = None
        if each.scaled is not None:
            after = self._reliability(f"{name}-after", each.run, each.scaled)
        return Diagram(
            loss=loss,
            seed=each.run.seed,
            before=self._reliability(f"{name}-before", each.run, each.predictions),
            after=after,
            temperature="" if temperature is None else decimal(temperature, 2),
        )

    def _reliability(self, name: str, run: RunResult, some: Predictions) -> Markup:
        diagram = reliability(some)
        accuracy = float(some.correct.mean())
        text = (
            f"Reliability of {self.labels[run.loss]} on {model_label(run.model)}"
            f"{', as trained' if name.endswith('before') else ', scaled'}: confidence "
            f"{percent(float(some.confidence.mean()))}, accuracy {percent(accuracy)}; "
            f"{int(diagram.is_outside.sum())} of {len(diagram.weight)} bins beyond "
            "chance."
        )
        with drawing(**INLINE_SETTINGS | _DIAGRAM_MARGINS):
            figure = Figure(figsize=_DIAGRAM_SIZE)
            draw_reliability(figure, diagram, self.styles[run.loss])
            return inline_svg(figure, name, text)

    def _sample(self, name: str, loss: str) -> Markup:
        with drawing(**INLINE_SETTINGS):
            figure = Figure(figsize=_SAMPLE_SIZE)
            draw_sample(figure, self.styles[loss])
            return inline_svg(figure, name, "")


_QUANTITIES = {
    "ece": ECE,
    "gap": CONFIDENCE_GAP,
    "scaled": ECE_SCALED,
    "true": TRUE_ERROR,
    "nll": NLL,
    "error": ERROR_RATE,
    "temperature": TEMPERATURE,
    "refinement": NLL_REFINEMENT,
    "calibration": NLL_CALIBRATION,
}
_VIEWS = {
    "ece": View(label="test ECE (%)"),
    "gap": View(label="confidence − accuracy (%)", lines={"": 0.0}),
    "scaled": View(label="test ECE after temperature (%)"),
    "true": View(label="true error (%)"),
    "nll": View(label="test NLL (nats)", scale=1.0, is_log=True),
    "error": View(label="test error (%)", is_log=True),
    "temperature": View(
        label="temperature T", scale=1.0, is_log=True, lines={"T = 1": 1.0}
    ),
    "refinement": View(label="refinement (nats)", scale=1.0, is_log=True),
    "calibration": View(label="calibration (nats)", scale=1.0, lines={"": 0.0}),
}
