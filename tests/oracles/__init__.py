"""Independent answers to "what is this feature", to hold the engine against."""
