"""Pre-flight: what Azure itself says, before anything is deployed, of what a stack asks for (`roompulse plan --check`)."""
