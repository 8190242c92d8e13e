"""Run the command line as `python -m calibench`."""

from calibench.cli import main

if __name__ == "__main__":
    main()
