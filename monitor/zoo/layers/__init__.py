"""Front ends and blocks that several families share."""
