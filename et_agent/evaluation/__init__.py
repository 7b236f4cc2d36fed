"""Measures how much a confidence is worth: data sets, runs, estimators, metrics, reports."""
