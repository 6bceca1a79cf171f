"""`paredown doctor`: versions and hardware of this machine, and self-checks for known problems.
`examine` runs `self_checks` in separate processes; `environment` collects facts for issues."""
