"""Object proposals: selective search, and the objectness map made of it, stored once."""
