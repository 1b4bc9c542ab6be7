"""`python -m gradgen` is the command `gradgen`."""

from gradgen.cli.main import main

main(prog_name="gradgen")
