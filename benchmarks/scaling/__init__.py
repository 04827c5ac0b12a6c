"""Communication, input and speed of training on several devices. Writes docs/scaling.md."""
