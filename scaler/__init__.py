"""tidegate's scaler: from one forecast to a replica floor and a rate limit."""
