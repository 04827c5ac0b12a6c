"""Training on several devices: its exchange, its reading, its gain. Writes docs/scaling.md."""
