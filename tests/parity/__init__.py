"""The live service and the replay give the same features: the proof, from end to end."""
