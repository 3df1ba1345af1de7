"""The package behind the stages of the pipeline and the command ``mea``: from recordings to an honest classifier.

It is divided into rooms, one above the other (docs/architecture.md draws them). A room uses only rooms below it, and
its ``__init__`` says where to begin reading. Folders come as arguments: no module knows where the pipeline keeps data.
"""

import os

# How OpenMP's threads wait for each other; it reads this once, when torch is loaded. Spinning as long as GNU's do, they
# made a step of training 13 times slower on a machine that others use too; sent to sleep at once, 2 times slower on an
# idle virtual one. A thousand turns, and then sleep, cost little on either (docs/performance.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
