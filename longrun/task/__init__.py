"""Tasks: frozen values saying what is repeated, and the Runner that keeps them going."""
