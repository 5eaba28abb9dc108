"""The commands of ``python -m boards``, one file each."""
