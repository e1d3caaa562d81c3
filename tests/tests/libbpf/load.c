/* Loads an object as any program that uses libbpf does, runs each of its programs once on the packet on standard input, and prints its name and what it
 * returns. Exit codes: 1, libbpf or the kernel refuses something. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>

int main(int count, char **words) {
    static unsigned char packet[65536];
    size_t len = fread(packet, 1, sizeof packet, stdin);
    if (count != 2) {
        fprintf(stderr, "usage: load OBJECT < PACKET\n");
        return 1;
    }
    struct bpf_object *object = bpf_object__open_file(words[1], NULL);
    if (!object) {
        perror("bpf_object__open_file");
        return 1;
    }
    if (bpf_object__load(object)) {
        perror("bpf_object__load");
        return 1;
    }
    struct bpf_program *program;
    bpf_object__for_each_program(program, object) {
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = len, .repeat = 1);
        if (bpf_prog_test_run_opts(bpf_program__fd(program), &options)) {
            perror("bpf_prog_test_run_opts");
            return 1;
        }
        printf("%s %u\n", bpf_program__name(program), options.retval);
    }
    bpf_object__close(object);
    return 0;
}
