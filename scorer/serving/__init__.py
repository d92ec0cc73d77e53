"""The live service: one click or a batch in, a decision and its reason out, by a deadline."""
