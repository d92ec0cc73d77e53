"""A whole run, from the lake to its changes, beside the same of other parts put together."""
