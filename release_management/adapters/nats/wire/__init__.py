"""The bytes on the wire: protocol, headers, parts of long texts, error replies."""
