"""How networks are trained and replaced blocks fitted, on which device, and where both are cached.
Nothing here knows which plan a network belongs to."""
