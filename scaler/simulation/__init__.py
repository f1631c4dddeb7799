"""The replay: what a policy would have done on recorded traffic, beside the HPA one has."""
