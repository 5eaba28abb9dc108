"""What it costs on a chip, and how it gets there: synthesis counts, boards, bitstreams."""
