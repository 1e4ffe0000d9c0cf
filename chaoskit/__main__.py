"""`python -m chaoskit` is the command line."""

from chaoskit.cli import main

main()
