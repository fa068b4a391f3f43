"""Does each idea do what its paper says? All methods at one budget on made digits.

`plan.yaml` says what is trained, on which data, how trained weights are read, and what the papers
lead one to expect; `plan` reads it, `trial` does one training with its readings, `summary` puts
the trials together.
"""
