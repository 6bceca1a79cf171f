"""What a plan costs, known exactly before any training, and the objectives that a search minimizes.
All of it is arithmetic on a blueprint."""
