"""What goes between nodes and a line's lease office; the module beside this file is generated from leases.proto."""
