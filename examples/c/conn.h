/* How far a TCP connection is, as `firewall.oko` and `perimeter.oko` follow it. */
#ifndef CONN_H
#define CONN_H

#include "packet.h"

enum conn { NONE, SYN_SENT, SYN_ACKED, ESTABLISHED, CLOSING };

/* How long one may be idle. */
static inline uint64_t idle_limit(enum conn conn) {
    return conn == ESTABLISHED ? 3600 * SECOND : conn == CLOSING ? 10 * SECOND : 5 * SECOND;
}

/* How far it is behind a packet: outwards or not, with flags. */
static inline enum conn next(enum conn conn, bool out, uint8_t flags) {
    if (conn == NONE)
        return out && flags == SYN ? SYN_SENT : NONE;
    if (flags & RST)
        return CLOSING;
    if (conn == SYN_SENT && !out && flags == (SYN | ACK))
        return SYN_ACKED;
    if (conn == SYN_ACKED && out && flags & ACK)
        return ESTABLISHED;
    if (conn == ESTABLISHED && flags & FIN)
        return CLOSING;
    return conn;
}

#endif
