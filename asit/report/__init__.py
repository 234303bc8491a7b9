"""What a run leaves about itself (tags, metrics, machine, revision) and the table made of it."""
