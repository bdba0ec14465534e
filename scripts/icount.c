/*
 * Counts the instructions that a program executes under qemu-user, and prints `instructions N` when it ends.
 *
 *     cc -O2 -shared -fPIC -o libicount.so icount.c
 *     qemu-aarch64 -plugin ./libicount.so PROGRAM
 *
 * A TCG plugin of version 1 of qemu's plugin interface (qemu 6.0 to 8.1). Debian packs no header for it: the four
 * functions are declared here. The count is exact for a program of one thread; threads would add to it unguarded.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

enum { ADD_U64 = 0 };

struct qemu_plugin_tb;
struct qemu_info;

typedef uint64_t plugin_id;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *, uint64_t);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

int qemu_plugin_version = 1;

static uint64_t instructions;

static void count_block(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &instructions, qemu_plugin_tb_n_insns(block));
}

static void report(plugin_id id, void *unused)
{
    (void)id;
    (void)unused;
    fprintf(stderr, "instructions %" PRIu64 "\n", instructions);
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
    qemu_plugin_register_atexit_cb(id, report, NULL);
    return 0;
}
