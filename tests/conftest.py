"""What holds for every test."""

from hypothesis import settings

# The first example of a test may compile kernels; how long an example takes is no finding.
settings.register_profile("replay", deadline=None)
settings.load_profile("replay")
