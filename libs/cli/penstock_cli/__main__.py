"""Run the command: `python -m penstock_cli`."""

from penstock_cli.app import main

if __name__ == "__main__":
    main()
