"""Cases of alert rules, run through the real ingest, the deployed query and the real fan-out (`roompulse alerts test`)."""
