"""The programs that move the particles, by the names that users see, and the choice among them."""
