"""Pulumi dynamic providers: what azure-native can't do for us. The paths of these modules live in every stack's state: never
move them."""
