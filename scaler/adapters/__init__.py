"""Everything that scaler asks of the outside, and does to it."""
