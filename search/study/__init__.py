"""What a study is asked and what it keeps: its configuration, its storage, and every trial in it.
Nothing here evaluates a plan or chooses one."""
