"""`python -m tejido_local`: what the script `tejido` runs inside the environment."""

import sys

from tejido_local.cli import main

sys.exit(main(sys.argv[1:]))
