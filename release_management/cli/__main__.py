"""`python -m release_management.cli` is `relman`."""

from release_management.cli import main

if __name__ == "__main__":
    main()
