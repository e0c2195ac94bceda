"""The lessons: eight notebooks whose exercises check themselves. `contents` lists them, `serving` opens one."""
