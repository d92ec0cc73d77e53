"""What holds for every test."""

import signal

from hypothesis import settings

# The first example of a test may compile kernels; how long an example takes is no finding.
settings.register_profile("replay", deadline=None)
settings.load_profile("replay")

# A job in the background is started with Ctrl-C ignored, and so are its children: undo that, so
# that the tests that interrupt a command hold there too.
signal.signal(signal.SIGINT, signal.default_int_handler)
