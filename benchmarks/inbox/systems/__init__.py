"""The systems under measurement, one module each: ours, the floors, the peers."""
