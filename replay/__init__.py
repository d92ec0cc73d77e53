"""The click log and the time machine: tables, import, point-in-time features, replay, diff."""
