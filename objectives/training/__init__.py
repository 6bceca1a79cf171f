"""Training of networks and fitting of replaced blocks, the device, and the cache of both.
Nothing here depends on plans."""
