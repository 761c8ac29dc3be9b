"""What a stack has in Microsoft Fabric: one module per part of the workspace."""
