"""`invbench` and `python -m invbench`: signals are heeded from the first moment, before anything heavy is imported."""

from __future__ import annotations

from invbench.console.at_once import end_at_once


def main() -> None:
    """Run the command line, which leaves with its exit code; until it has begun, an interrupt just ends it."""
    end_at_once(words=b"interrupted\n")
    from invbench.cli import main as command_line

    command_line()


if __name__ == "__main__":  # a worker process imports this module under another name
    main()
