"""The architectures, one file each, and the first layer that they share."""
