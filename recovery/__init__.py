"""From a diff to a safe production: the production pointer and, later, verdicts."""
