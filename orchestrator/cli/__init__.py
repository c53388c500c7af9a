"""The command line. Parsing imports the standard library only; a command imports what it needs when it runs."""
