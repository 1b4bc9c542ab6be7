"""Sources on arrays: stated shapes, tracing with sizes that have names, partials with patterns."""
