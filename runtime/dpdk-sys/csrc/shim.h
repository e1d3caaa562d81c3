/*
 * DPDK functions that exist only as `static inline` or as macros, as linkable symbols of the same name with the
 * prefix `shim_`. Nothing is added to their behaviour.
 */
#ifndef OKO_DPDK_SHIM_H
#define OKO_DPDK_SHIM_H

#include <stdint.h>
#include <stdio.h>

#include <rte_mbuf.h>

uint16_t shim_rte_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t shim_rte_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n);

struct rte_mbuf *shim_rte_pktmbuf_alloc(struct rte_mempool *pool);
int shim_rte_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **pkts, unsigned n);
void shim_rte_pktmbuf_free(struct rte_mbuf *m);
char *shim_rte_pktmbuf_prepend(struct rte_mbuf *m, uint16_t len);
char *shim_rte_pktmbuf_append(struct rte_mbuf *m, uint16_t len);
char *shim_rte_pktmbuf_adj(struct rte_mbuf *m, uint16_t len);
int shim_rte_pktmbuf_trim(struct rte_mbuf *m, uint16_t len);
int shim_rte_pktmbuf_chain(struct rte_mbuf *head, struct rte_mbuf *tail);
int shim_rte_pktmbuf_linearize(struct rte_mbuf *m);
const void *shim_rte_pktmbuf_read(const struct rte_mbuf *m, uint32_t off, uint32_t len, void *buf);

int shim_rte_errno(void);
unsigned shim_rte_lcore_id(void);

typedef ssize_t (*shim_log_write)(void *cookie, const char *text, size_t len);

/* A stream that hands what is written to it to `write` (fopencookie). NULL when out of memory. */
FILE *shim_log_stream(shim_log_write write);

#endif
