"""The live store: stamps each click and keeps the counters of its features on Redis."""
