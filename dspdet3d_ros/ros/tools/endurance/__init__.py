"""Long runs of the real node: under load, and over many clouds and lifecycle cycles. See docs/endurance.md."""
