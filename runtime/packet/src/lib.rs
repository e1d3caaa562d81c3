//! Extraction of the OpenFlow flow key from a frame.
