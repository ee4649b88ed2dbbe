"""`python -m veil`: the command line."""

from veil.ui.cli import main

if __name__ == "__main__":
    main()
