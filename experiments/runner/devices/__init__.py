"""The devices and processes that train together."""
