"""How things print: a progress display on a terminal, plain lines in a pipe, tables that fit 80 columns."""
