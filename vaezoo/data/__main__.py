"""python -m vaezoo.data --help"""

import sys

from vaezoo.data.command import main

if __name__ == "__main__":
    sys.exit(main())
