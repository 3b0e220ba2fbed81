"""`python -m invbench`."""

from invbench.cli import main

if __name__ == "__main__":  # a worker process imports this module under another name
    main()
