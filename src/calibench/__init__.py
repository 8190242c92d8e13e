"""How a classifier's calibration depends on its training loss."""
