"""What people look at: Kusto tables and views, dashboard tiles, the semantic model and the reports."""
