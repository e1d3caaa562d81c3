//! OpenFlow flow tables and their classifier.
