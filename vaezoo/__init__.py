"""Train, sweep, compare and evaluate disentangled variational autoencoders."""

import signal
import sys

if sys.argv[:1] == ["-m"]:
    # `python -m vaezoo.COMMAND` still imports: an interrupt ends it, where Python would print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
