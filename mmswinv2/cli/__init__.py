"""What the commands of tools/ and demo/ share."""
