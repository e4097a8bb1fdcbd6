"""How nodes read from one another: requests signed by the pair's secret, replies in frames."""
