"""The stream query as a part of the local pipeline: hub `observations` in, hubs and the Delta table `readings` out."""
