"""`python -m gradgen` is the command `gradgen`."""

from gradgen.cli import main

main(prog_name="gradgen")
