"""The objectives of a plan: its predicted cost, and its accuracy after building and training it.
Folders import downwards only: data, cost, accuracy, training, evaluation."""
