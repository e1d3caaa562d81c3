//! E06xx: filters, results and events.

codes! {}
