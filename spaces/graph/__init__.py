"""What is known of a network without its weights: layers, data flow, blocks, head, sites.
A blueprint holds all of it, and techniques predict what they do on it."""
