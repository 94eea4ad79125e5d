"""The verbs of the command, a file per group; each imports what it needs when it is called."""
