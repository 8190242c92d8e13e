"""A comparison in words."""

from collections.abc import Mapping

from calibench.metrics.difference import Difference

_SCORES = {"accuracy": "accuracy", "nll": "NLL", "brier": "Brier score"}
_HIGHER_IS_BETTER = {"accuracy"}


def verdict_between(differences: Mapping[str, Difference], level: float) -> str:
    """Say which set predicts better, which is better calibrated, and what remains.

    The first sentence goes by accuracy and the proper scores, the second by the
    debiased squared error, whose test has more power than that of ECE. A third says
    whether the sets differ in NLL after a temperature for each, if either NLL does.

    Args:
        differences: Those of `compare`, by name.
        level: A difference counts where p is at most 1 - level.
    """
    sentences = [_on_scores(differences, level), _on_calibration(differences, level)]
    return " ".join(sentences + _on_refinement(differences, level))


def _on_scores(differences: Mapping[str, Difference], level: float) -> str:
    better: dict[str, list[str]] = {"first": [], "second": []}
    for name, noun in _SCORES.items():
        each = differences[name]
        if each.is_clear(level) and each.value:
            second_is = (each.value > 0) == (name in _HIGHER_IS_BETTER)
            values = [_number(name, each.first), _number(name, each.second)]
            change = " against ".join(values[::-1] if second_is else values)
            better["second" if second_is else "first"].append(f"{noun} {change}")
    parts = [
        f"the {which} predicts better by {_listed(changes)}"
        for which, changes in better.items()
        if changes
    ]
    if not parts:
        nouns = ", ".join(_SCORES.values())
        return f"None of {nouns} tells the two apart."
    return _sentence("; but ".join(parts))


def _on_calibration(differences: Mapping[str, Difference], level: float) -> str:
    square, size = differences["debiased_l2"], differences["top_label_ece"]
    if not square.is_clear(level) or not square.value:
        return (
            "Their calibration is not told apart "
            f"(ECE {_percent(size.first)} and {_percent(size.second)})."
        )
    # The test's own number comes first: ECE may order two close sets otherwise.
    roots = [_percent(max(each, 0.0) ** 0.5) for each in (square.first, square.second)]
    sizes = [_percent(size.first), _percent(size.second)]
    which = "first"
    if square.value < 0:
        which, roots, sizes = "second", roots[::-1], sizes[::-1]
    return (
        f"The {which} is better calibrated (debiased root mean square error "
        f"{' against '.join(roots)}; ECE {' against '.join(sizes)})."
    )


def _on_refinement(differences: Mapping[str, Difference], level: float) -> list[str]:
    given, refined = differences["nll"], differences["nll_refinement"]
    either = given.is_clear(level) or refined.is_clear(level)
    if refined.p_value is None or not either:
        return []
    values = [_number("nll", each) for each in (refined.first, refined.second)]
    if not refined.is_clear(level):
        return [
            "With a temperature for each, their NLL is not told apart "
            f"({' and '.join(values)})."
        ]
    second_is = refined.second < refined.first
    return [
        f"With a temperature for each, the {'second' if second_is else 'first'} has "
        f"the lower NLL ({' against '.join(values[::-1] if second_is else values)})."
    ]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _number(name: str, value: float) -> str:
    return _percent(value) if name == "accuracy" else f"{value:.3f}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
