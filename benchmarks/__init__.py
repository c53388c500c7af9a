"""Measurements: ratios inside one run, interleaved, medians. Never asserted in the tests."""
