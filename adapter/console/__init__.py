"""The parts of the command line, one module for each group of commands."""
