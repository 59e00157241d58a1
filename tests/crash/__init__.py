"""Jobs killed at any point and opened again: ``python -m tests.crash --kills 500``."""
