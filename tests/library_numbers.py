"""What the installed libraries say, one call for each preset that names them."""

from importlib import import_module

import numpy as np
import pytest


def library(module):
    """Import a module of a library, or skip with the reason."""
    try:
        return import_module(module)
    except ImportError as error:
        pytest.skip(f"{module} is not installed (extra compat): {error}")


def _torchmetrics(name, norm):
    def call(probs, labels, num_bins):
        torch = library("torch")
        module = library("torchmetrics.functional.classification")
        if name == "binary":
            given = torch.tensor(probs[:, 1].copy()), torch.tensor(labels)
        else:
            given = torch.tensor(probs), torch.tensor(labels), probs.shape[1]
        error = getattr(module, f"{name}_calibration_error")
        return error(*given, n_bins=num_bins, norm=norm).item()

    return call


def _netcal(name, **options):
    def call(probs, labels, num_bins):
        measure = getattr(library("netcal.metrics"), name)(num_bins, **options)
        return measure.measure(probs, labels)

    return call


def _top(probs, labels):
    return probs.max(axis=1), probs.argmax(axis=1) == labels


def _curve(strategy):
    def call(probs, labels, num_bins):
        confidence, correct = _top(probs, labels)
        if probs.shape[1] == 2:
            confidence, correct = probs[:, 1], labels == 1
        share, mean = library("sklearn.calibration").calibration_curve(
            correct.astype(int), confidence, n_bins=num_bins, strategy=strategy
        )
        return np.abs(share - mean).mean()

    return call


def _score(name):
    def call(probs, labels, _):
        score = getattr(library("sklearn.metrics"), name)
        return score(labels, probs, labels=range(probs.shape[1]))

    return call


def _mapie(strategy):
    def call(probs, labels, num_bins):
        confidence, correct = _top(probs, labels)
        return library("mapie.metrics.calibration").expected_calibration_error(
            correct.astype(int), confidence, num_bins, strategy
        )

    return call


def _mapie_classwise(probs, labels, num_bins):
    return library("mapie.metrics.calibration").expected_calibration_error(
        labels, probs, num_bins, classwise=True, class_labels=labels
    )


def _mapie_top_label(probs, labels, num_bins):
    module = library("mapie.metrics.calibration")
    return module.top_label_ece(labels, probs, num_bins=num_bins)


def _verified(name, *, takes_bins):
    def call(probs, labels, num_bins):
        options = {"num_bins": num_bins} if takes_bins else {}
        return getattr(library("calibration"), name)(probs, labels, **options)

    return call


def _relplot_smece(probs, labels, _):
    confidence, correct = _top(probs, labels)
    return library("relplot").smECE(confidence, correct * 1.0)


def _relplot_binned(probs, labels, num_bins):
    confidence, correct = _top(probs, labels)
    module = library("relplot.metrics")
    return module.binnedECE(confidence, correct * 1.0, num_bins)


LIBRARY_CALLS = (
    {
        f"torchmetrics{infix}_{norm}": _torchmetrics(task, norm)
        for infix, task in (("", "multiclass"), ("_binary", "binary"))
        for norm in ("l1", "l2", "max")
    }
    | {
        "netcal_ece": _netcal("ECE"),
        "netcal_ace": _netcal("ACE"),
        "netcal_mce": _netcal("MCE"),
        "netcal_ece_equal_mass": _netcal("ECE", equal_intervals=False),
        "sklearn_curve_uniform": _curve("uniform"),
        "sklearn_curve_quantile": _curve("quantile"),
        "sklearn_brier": _score("brier_score_loss"),
        "sklearn_log_loss": _score("log_loss"),
        "mapie_ece": _mapie("uniform"),
        "mapie_ece_quantile": _mapie("quantile"),
        "mapie_ece_array_split": _mapie("array split"),
        "mapie_ece_classwise": _mapie_classwise,
        "mapie_top_label_ece": _mapie_top_label,
        "relplot_smece": _relplot_smece,
        "relplot_binned_ece": _relplot_binned,
    }
    | {
        f"verified_calibration_{name}": _verified(function, takes_bins=takes_bins)
        for name, function, takes_bins in (
            ("ece", "get_ece", True),
            ("ece_em", "get_ece_em", True),
            ("lower_bound_l2", "lower_bound_scaling_top_ce", True),
            ("top_l2", "get_top_calibration_error", False),
            ("marginal_l2", "get_calibration_error", False),
        )
    }
)
