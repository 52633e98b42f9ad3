"""Which paths of each kind of provider are served, and how."""
