"""What calibrators cannot be fitted without."""

SETTINGS_OF = {
    "focal_link": {"gamma": 1.0},
    "loss_link": {"kind": "entropy", "strength": 0.25},
}
