"""This program's version: what `--version`, the status and peers say."""

VERSION = "0.1.0"
