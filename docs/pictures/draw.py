"""Draw the pictures of the documentation, each from real computations of the library.

    python docs/pictures/draw.py [NAME ...] [--out DIR]

Without names it draws all, in about 20 seconds on one core. The same versions of
matplotlib and numpy give the same bytes.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import bias
import binned
import chance
import classes
import gradients
import parts
import posterior
import ranking
import scores
import simplex
from calibench.lab.report.style import drawing
from calibench.lab.report.svg import svg_bytes
from canvas import SETTINGS

FOLDER = Path(__file__).parent

# Text stays text; where the first typeface is missing, the next is nearly as wide.
_FONTS = b"'DejaVu Sans', Verdana, sans-serif"

PICTURES: dict[str, Callable[[], Figure]] = {
    "accuracy": scores.accuracy,
    "aurc": ranking.aurc,
    "brier": scores.brier,
    "canonical_calibration_error": simplex.canonical_calibration_error,
    "classwise_ece": classes.classwise_ece,
    "confidence_gap": scores.confidence_gap,
    "debiased_l1": bias.debiased_l1,
    "debiased_l2": bias.debiased_l2,
    "ece_sweep": bias.ece_sweep,
    "log_odds_quantile": ranking.log_odds_quantile,
    "max_calibration_error": chance.max_calibration_error,
    "nll": scores.nll,
    "nll_refinement": parts.nll_refinement,
    "noise_floor": chance.noise_floor,
    "optimal_temperature": scores.optimal_temperature,
    "overconfidence": binned.overconfidence,
    "rms_calibration_error": binned.rms_calibration_error,
    "saturated_share": ranking.saturated_share,
    "soft_label_nll": posterior.soft_label_nll,
    "squared_kernel_calibration_error": simplex.squared_kernel_calibration_error,
    "smooth_ece": classes.smooth_ece,
    "top_k_ece": classes.top_k_ece,
    "top_label_ece": binned.top_label_ece,
    "top_label_ece_equal_mass": binned.top_label_ece_equal_mass,
    "true_calibration_error": scores.true_calibration_error,
    "true_canonical_l1": posterior.true_canonical_l1,
} | {f"loss_{kind}": draw for kind, draw in gradients.LOSS_PICTURES.items()}


def main() -> None:
    """Write the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*PICTURES, []])
    parser.add_argument("--out", type=Path, default=FOLDER, help="made if missing")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    mpl.use("svg")
    for name in options.names or PICTURES:
        with drawing(**SETTINGS):
            figure = PICTURES[name]()
            (options.out / f"{name}.svg").write_bytes(
                svg_bytes(figure).replace(b"'DejaVu Sans'", _FONTS)
            )
            plt.close(figure)
        sys.stderr.write(f"{name}\n")


if __name__ == "__main__":
    main()
