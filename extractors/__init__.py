"""Clip -> windows -> per-second features -> averages."""
