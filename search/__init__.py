"""How plans are chosen, compared and shown: all between a study file and an exported file.
Folders import downwards only, in the order of ARCHITECTURE.md."""
