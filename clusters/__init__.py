"""Where jobs run: resources only, no hyperparameters."""
