"""Training of the detector (DSPDet3D, section 3.4)."""
