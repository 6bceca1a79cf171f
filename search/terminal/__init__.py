"""Terminal output: tables, the live display of a search, listings, counts and previews.
Modules here only format; decisions are made in the folders below."""
