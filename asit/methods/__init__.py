"""Self-supervised methods: student, teacher, views to named losses."""
