"""The numbers of other libraries, named, defined and computed by our own code."""

from collections.abc import Mapping

from calibench.metrics.presets.counterparts import OURS, our_definition
from calibench.metrics.presets.focal_calibration import FOCAL_CALIBRATION
from calibench.metrics.presets.mapie import MAPIE
from calibench.metrics.presets.netcal import NETCAL
from calibench.metrics.presets.preset import NoNumberError, Preset
from calibench.metrics.presets.relplot import RELPLOT
from calibench.metrics.presets.scikit_learn import SCIKIT_LEARN, calibration_curve
from calibench.metrics.presets.torchmetrics import TORCHMETRICS
from calibench.metrics.presets.verified_calibration import VERIFIED_CALIBRATION

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        *FOCAL_CALIBRATION,
        *MAPIE,
        *NETCAL,
        *RELPLOT,
        *SCIKIT_LEARN,
        *TORCHMETRICS,
        *VERIFIED_CALIBRATION,
    )
}

__all__ = [
    "OURS",
    "PRESETS",
    "NoNumberError",
    "Preset",
    "calibration_curve",
    "our_definition",
]
