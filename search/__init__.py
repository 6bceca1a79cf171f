"""The search: from a study file to winners, reports and exported files.
Folders import downwards only, in the order of ARCHITECTURE.md."""
