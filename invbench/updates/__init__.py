"""What an update tells: how well a guess explains it, and how many independent equations it holds."""
