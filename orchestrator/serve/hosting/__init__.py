"""The hosts of served models: which version each name stands for, and who answers for it."""
