//! E04xx: headers and packets.

codes! {}
