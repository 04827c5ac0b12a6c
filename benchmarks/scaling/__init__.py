"""Training on several devices: what it exchanges, reads, and gains. Writes docs/scaling.md."""
