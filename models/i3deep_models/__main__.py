"""`python -m i3deep_models`."""

from i3deep_models.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
