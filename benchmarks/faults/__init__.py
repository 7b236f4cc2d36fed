"""Faults, kills, deadlines and a soak, counted for docs/reliability.md."""
