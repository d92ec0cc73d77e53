"""The processes around the live service, and the way of its decisions to the lake."""
