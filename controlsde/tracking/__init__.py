"""The discrete tracking problem that every solver minimises, and the norms of its error."""
