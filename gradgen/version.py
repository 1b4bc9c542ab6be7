"""The release; apart from the package's own names, which import nearly everything."""

__version__ = "0.1.0"
