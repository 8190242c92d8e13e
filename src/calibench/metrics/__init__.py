"""Scores of predictions: every metric maps Predictions to a float."""

from calibench.metrics.calibration_error import (
    debiased_l2,
    max_calibration_error,
    overconfidence,
    rms_calibration_error,
    top_label_bins,
    top_label_ece,
    underconfidence,
)
from calibench.metrics.canonical import canonical_calibration_error
from calibench.metrics.canonical_evaluation import canonical_measurements
from calibench.metrics.classwise import classwise_ece
from calibench.metrics.classwise_evaluation import classwise_measurements
from calibench.metrics.classwise_variants import (
    classwise_rms_error,
    thresholded_classwise_ece,
)
from calibench.metrics.comparison import Comparison, compare, compare_all
from calibench.metrics.debiased import debiased_l1
from calibench.metrics.decomposition import (
    Decomposition,
    brier_calibration,
    brier_refinement,
    decompose,
    decompositions,
    nll_calibration,
    nll_refinement,
)
from calibench.metrics.difference import Difference
from calibench.metrics.evaluation import evaluate
from calibench.metrics.floor import NoiseFloor, noise_floor
from calibench.metrics.measurement import Evaluation, Measurement
from calibench.metrics.panel import scalars
from calibench.metrics.risk_coverage import RiskCoverage, aurc, excess_aurc
from calibench.metrics.saturation import log_odds_quantile, saturated_share
from calibench.metrics.scores import (
    accuracy,
    brier,
    confidence_gap,
    error_rate,
    mean_confidence,
    nll,
)
from calibench.metrics.skce import squared_kernel_calibration_error
from calibench.metrics.smooth import smooth_ece
from calibench.metrics.soft_scores import soft_label_brier, soft_label_nll, true_kl
from calibench.metrics.sweep import ece_sweep, sweep_num_bins
from calibench.metrics.top_k import kth_class_ece, top_k_ece
from calibench.metrics.truth import (
    Truth,
    soft_label_ece,
    true_calibration_error,
    true_canonical_l1,
    true_canonical_l2,
    true_canonical_l2_squared,
    true_squared_calibration_error,
)
from calibench.metrics.truth_evaluation import TruthEvaluation, evaluate_truth
from calibench.posthoc.temperature import optimal_temperature

__all__ = [
    "Comparison",
    "Decomposition",
    "Difference",
    "Evaluation",
    "Measurement",
    "NoiseFloor",
    "RiskCoverage",
    "Truth",
    "TruthEvaluation",
    "accuracy",
    "aurc",
    "brier",
    "brier_calibration",
    "brier_refinement",
    "canonical_calibration_error",
    "canonical_measurements",
    "classwise_ece",
    "classwise_measurements",
    "classwise_rms_error",
    "compare",
    "compare_all",
    "confidence_gap",
    "debiased_l1",
    "debiased_l2",
    "decompose",
    "decompositions",
    "ece_sweep",
    "error_rate",
    "evaluate",
    "evaluate_truth",
    "excess_aurc",
    "kth_class_ece",
    "log_odds_quantile",
    "max_calibration_error",
    "mean_confidence",
    "nll",
    "nll_calibration",
    "nll_refinement",
    "noise_floor",
    "optimal_temperature",
    "overconfidence",
    "rms_calibration_error",
    "saturated_share",
    "scalars",
    "smooth_ece",
    "soft_label_brier",
    "soft_label_ece",
    "soft_label_nll",
    "squared_kernel_calibration_error",
    "sweep_num_bins",
    "thresholded_classwise_ece",
    "top_k_ece",
    "top_label_bins",
    "top_label_ece",
    "true_calibration_error",
    "true_canonical_l1",
    "true_canonical_l2",
    "true_canonical_l2_squared",
    "true_kl",
    "true_squared_calibration_error",
    "underconfidence",
]
