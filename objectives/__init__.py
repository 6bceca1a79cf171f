"""What a plan is worth: what it costs, and what accuracy is left when it was built and trained.
Folders import downwards only: data, cost, accuracy, training, evaluation."""
