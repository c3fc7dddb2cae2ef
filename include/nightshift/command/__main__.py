"""Entry point of ``./nightshift`` once its runtime is there."""

from nightshift.command.app import main

if __name__ == "__main__":
    main()
