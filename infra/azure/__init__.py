"""The Azure route: one module per service. What it is made of reads from the top in infra/program.py."""
