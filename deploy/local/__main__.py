"""`python -m deploy.local`."""

import sys

if __name__ == "__main__":
    try:
        from deploy.local.cli import app

        app()
    except KeyboardInterrupt:
        # Before a command had begun.
        sys.exit("Interrupted.")
