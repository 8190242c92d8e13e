"""Calibrators: fitted on held-out predictions, applied to logits."""

from calibench.posthoc.calibrator import Calibrator
from calibench.posthoc.dirichlet import Dirichlet
from calibench.posthoc.files import load, save
from calibench.posthoc.fitting_set import FittingSet
from calibench.posthoc.focal_link import FocalLink
from calibench.posthoc.histogram_binning import HistogramBinning
from calibench.posthoc.isotonic import Isotonic, OrderPreservingIsotonic
from calibench.posthoc.links import LINKS
from calibench.posthoc.loss_link import LossLink
from calibench.posthoc.matrix_scaling import MatrixScaling
from calibench.posthoc.menu import CALIBRATORS, fit
from calibench.posthoc.temperature import Temperature
from calibench.posthoc.temperature_by_ece import TemperatureByEce
from calibench.posthoc.vector_scaling import VectorScaling

__all__ = [
    "CALIBRATORS",
    "LINKS",
    "Calibrator",
    "Dirichlet",
    "FittingSet",
    "FocalLink",
    "HistogramBinning",
    "Isotonic",
    "LossLink",
    "MatrixScaling",
    "OrderPreservingIsotonic",
    "Temperature",
    "TemperatureByEce",
    "VectorScaling",
    "fit",
    "load",
    "save",
]
