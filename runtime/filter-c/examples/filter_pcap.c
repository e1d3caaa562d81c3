/* Writes the packets of a capture that a filter matches to another one. */
#include <oko.h>
#include <stdio.h>
#include <stdlib.h>

static uint8_t object[8 << 20], frame[1 << 16];

int main(int argc, char **argv) {
    FILE *in = argc == 4 ? fopen(argv[2], "rb") : NULL, *out = in ? fopen(argv[3], "wb") : NULL;
    FILE *file = out ? fopen(argv[1], "rb") : NULL;
    if (!file) return fprintf(stderr, "give FILTER.o IN.pcap OUT.pcap\n"), 2;
    oko_instance *instance;
    if (oko_load(object, fread(object, 1, sizeof object, file), NULL, &instance) != OKO_OK)
        return fprintf(stderr, "%s\n", oko_error()), 1;
    uint32_t head[6], record[4], class;
    if (fread(head, 1, sizeof head, in) != sizeof head || head[0] != 0xa1b2c3d4) return 1;
    fwrite(head, 1, sizeof head, out);
    while (fread(record, 1, sizeof record, in) == sizeof record && record[2] <= sizeof frame &&
           fread(frame, 1, record[2], in) == record[2]) {
        oko_packet packet = {frame, record[2], record[3], 1};
        uint64_t now = record[0] * 1000000000ull + record[1] * 1000ull;
        if (oko_run(instance, 0, &packet, 1, now, &class) != OKO_OK)
            return fprintf(stderr, "%s\n", oko_error()), 1;
        if (class) fwrite(record, 1, sizeof record, out), fwrite(frame, 1, record[2], out);
    }
    oko_free(instance);
    return fclose(out) ? 1 : 0;
}
