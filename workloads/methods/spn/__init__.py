"""SPN: soft proposals coupled with the features of a network."""
