"""The command line `wsol`: one file for each verb."""
