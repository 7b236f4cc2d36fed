"""Calibrated P(correct), and thresholds with a guarantee."""

from et_agent.calibration.calibrator import Calibrator, Confidence, DataUsed, Part
from et_agent.calibration.example import Example
from et_agent.calibration.features import FEATURES, feature_columns, feature_row, features_of
from et_agent.calibration.fingerprint import Fingerprint
from et_agent.calibration.learning import Learnt, learn
from et_agent.calibration.monitoring import DriftMonitor
from et_agent.calibration.risk_control import (
    Costs,
    RiskControl,
    Threshold,
    threshold_for_coverage,
)

__all__ = [
    "FEATURES",
    "Calibrator",
    "Confidence",
    "Costs",
    "DataUsed",
    "DriftMonitor",
    "Example",
    "Fingerprint",
    "Learnt",
    "Part",
    "RiskControl",
    "Threshold",
    "feature_columns",
    "feature_row",
    "features_of",
    "learn",
    "threshold_for_coverage",
]
