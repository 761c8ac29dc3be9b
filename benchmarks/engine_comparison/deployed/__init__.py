"""The deployed query (asa-queries/roompulse): our engine runs it as it is, Flink and Polars what a person wrote to that end."""
