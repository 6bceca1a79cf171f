"""What a plan is worth: data, training, cost, budget, and the evaluator that ties them."""
