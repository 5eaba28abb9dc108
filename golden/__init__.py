"""What must be computed: models, checkpoints and arithmetic in NumPy, with no hardware in sight."""
