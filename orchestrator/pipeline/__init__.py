"""`wsol run` and `wsol reproduce`: all verbs in order, each step done once."""
