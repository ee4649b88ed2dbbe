"""The commands of the command line: each is a function that typer reads."""
