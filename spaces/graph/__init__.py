"""Networks without weights: layers, data flow, residual blocks, classifier heads, sites.
A blueprint holds all of these, and techniques predict their effect on it."""
