"""Line charts with intervals: one layout, drawn as SVG, as PNG, or with characters."""
