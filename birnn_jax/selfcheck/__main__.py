"""`python -m birnn_jax.selfcheck`."""

import sys

from .compare import main

sys.exit(main())
