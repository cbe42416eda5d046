"""`python -m stagepipe` is the same as `stagepipe`."""

from stagepipe.cli import main

# The guard matters: worker processes import this module by another name.
if __name__ == "__main__":
    main()
