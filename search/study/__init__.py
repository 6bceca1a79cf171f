"""A study's configuration, storage, attributes and trials.
Modules here neither evaluate plans nor propose them."""
