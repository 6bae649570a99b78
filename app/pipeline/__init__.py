"""From accepted to stored: a lane per signal, batches, and the inserts that are retried until they are answered."""
