"""What the terminal shows: tables, the live picture of a search, listings, counts and previews.
Nothing here decides anything."""
